"""`jph history`: copy history to another store, import that of older networks."""
