"""Sensors behind a Z-Wave server."""
