"""A state store that a test feeds, and what it says of its faults."""

from contextlib import contextmanager

from tests.helpers import eventually
from tests.jph.stores.kept import KeptStates

SENDER = ("127.0.0.1", 7602)


class Watched:
    """A store that is fed by a test, and what it says of its faults."""

    def __init__(self, url, password_file=None):
        self.faults = []
        self.store = KeptStates(url, None, password_file)
        self.store.watch(self._note)
        self.sequence = 0

    def _note(self, fault):
        if not self.faults or fault != self.faults[-1]:
            self.faults.append(fault)

    def hear(self, *codifiers, value=1.0):
        self.sequence += 1
        readings = [
            (it, 1000 + self.sequence, self.sequence, value, "f", 4, SENDER) for it in codifiers
        ]
        self.store.on_readings(readings, {})

    def await_fault(self, words):
        return eventually(
            lambda: next((it for it in self.faults if it and words in it), None),
            what=f"a fault with {words!r} among {self.faults}",
        )

    def await_recovery(self):
        eventually(lambda: self.faults and self.faults[-1] is None, what=str(self.faults))


@contextmanager
def watched(url, password_file=None):
    it = Watched(url, password_file)
    try:
        yield it
    finally:
        it.store.close()
