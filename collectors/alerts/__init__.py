"""Alerts: rules judged on the bus, and people told of what they find."""
