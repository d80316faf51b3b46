"""Calculations over other components, in a worker process."""
