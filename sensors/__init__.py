"""Sensors: one module for each interface; the table of types is in `jph.registry`."""
