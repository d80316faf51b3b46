"""Last states in Redis."""
