"""The status of a component for pages, and the words for faults of the services."""

from jph.config.status import COLLECTORS as COLLECTORS
from jph.config.status import SERVICES as SERVICES
from jph.config.status import Heard as Heard
from jph.config.status import Status as Status
from jph.config.status import sends_data as sends_data
from jph.config.status import status as status

# The meaning for people of a fault of such a component.
FAULTS = {
    "StateCache": "Last states are not being stored.",
    "HistoryWriter": "History is not being stored.",
    "Statistics": "Statistics are not being computed.",
    "Alerts": "Messages about alerts cannot be delivered.",
}
DAMAGED = "A damaged file of the history was put aside, and a new one begun."
