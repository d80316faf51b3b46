"""Note in the events when an alert begins to fire and when it ends, for marks on graphs."""

from web.alerts.board import Posted
from web.history.event_recorder import Change, EventRecorder

EARLIER_MS = 5_000  # what began so long before the pages is still new
MOST_NOTED = 1000


class AlertNotes:
    """Gives the events of alerts to the recorder, each once."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder
        self._noted: dict[tuple[str, int], None] = {}  # in their order, for the oldest to go

    def take(self, posted: Posted, said: str) -> None:
        """Take a change of an alert."""
        told, key = posted.told, (posted.component, posted.told.id)
        if told.state == "ended" and key in self._noted:
            del self._noted[key]
            self._add(posted, f"Over: {told.text}")
        elif (
            told.state == "firing"
            and key not in self._noted
            and told.at >= self._recorder.began_ms - EARLIER_MS
        ):
            if len(self._noted) >= MOST_NOTED:
                del self._noted[next(iter(self._noted))]
            self._noted[key] = None
            self._add(posted, told.text)

    def _add(self, posted: Posted, text: str) -> None:
        # The subject may be a node, or everything: such an event is of the whole network.
        subject = posted.told.subject
        codifier = subject if len(subject) == 2 else ""
        self._recorder.add(Change(posted.told.at, codifier, "alert", text))
