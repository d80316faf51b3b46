"""The bus: wire format, groups, sockets, sending, receiving, sequences."""
