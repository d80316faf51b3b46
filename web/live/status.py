"""The words for faults of the services."""

# The meaning for people of a fault of a service, by its type.
FAULTS = {
    "StateCache": "Last states are not being stored.",
    "HistoryWriter": "History is not being stored.",
    "Statistics": "Statistics are not being computed.",
    "Alerts": "Messages about alerts cannot be delivered.",
}
DAMAGED = "A damaged file of the history was put aside, and a new one begun."
