"""Alerts without any I/O: rules, whether they hold, and how they would have held in the past."""
