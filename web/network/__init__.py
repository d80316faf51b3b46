"""The network as a whole: its nodes, what it loses, what waits, and whether all is well."""
