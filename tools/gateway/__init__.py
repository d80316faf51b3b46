"""`jph gateway`: devices of other systems."""
