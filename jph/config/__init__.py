"""The configuration of the network: its document, read, checked, and turned into components."""
