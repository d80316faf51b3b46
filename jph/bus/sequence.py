"""Loss, duplicates and restarts of one source on one channel, from its sequence numbers.

The usual case, the number that was expected, costs one comparison: the receiver makes it itself and
only calls `arrive` for the others. Numbers that were jumped over stay known for a while, so that a
late datagram is told from a duplicate.
"""

from dataclasses import dataclass, field

from jph.bus.wire import SEQUENCE_MASK

WINDOW = 64  # numbers; further back than this is no late arrival but a restart
MAX_GAP = 1 << 24  # numbers; a jump ahead beyond this (4 days at 50/s) is a restart, not a loss


@dataclass(slots=True)
class SequenceTracker:
    """The counters of one Codifier on one channel.

    Args:
        codifier: the source.
        expected: the next sequence number in order.
        reset_ms: when counting began, or the source last restarted, by our clock, ms.
        lost: messages since then.
        lost_before: messages before it.
    """

    codifier: str
    expected: int
    reset_ms: int
    received: int = 0
    lost: int = 0
    lost_before: int = 0
    duplicates: int = 0
    restarts: int = 0
    oldest: int = field(init=False)  # the lowest number that can have been seen
    missing: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.oldest = self.expected

    def arrive(self, sequence: int, now_ms: int) -> bool:
        """Count one sequence number; False if it is a duplicate, to be dropped."""
        ahead = (sequence - self.expected) & SEQUENCE_MASK
        behind = (self.expected - sequence) & SEQUENCE_MASK
        if ahead == 0:
            self.expected = (self.expected + 1) & SEQUENCE_MASK
        elif behind <= WINDOW:
            return self._late(sequence)
        elif ahead <= MAX_GAP:
            self._gap(ahead)
            self.expected = (sequence + 1) & SEQUENCE_MASK
        else:
            self._restart(sequence, now_ms)
        self.received += 1
        return True

    def start(self, sequence: int, now_ms: int) -> bool:
        """Count an N or n, with which a sequence starts; return False for a duplicate."""
        behind = (self.expected - sequence) & SEQUENCE_MASK
        if 0 < behind <= WINDOW:  # came late, or twice: what followed it has been counted
            return self._late(sequence)
        if behind == 0 and self.received:  # in order, as when a source sends n once more
            self._count_anew(now_ms)
            return self.arrive(sequence, now_ms)
        if self.received:
            self._restart(sequence, now_ms)
        else:
            self.expected, self.oldest = (sequence + 1) & SEQUENCE_MASK, sequence
        self.received += 1
        return True

    def _late(self, sequence: int) -> bool:
        if sequence in self.missing:
            self.missing.discard(sequence)
            self.lost -= 1
        elif ((self.oldest - sequence) & SEQUENCE_MASK) in range(1, WINDOW + 1):
            # It was sent before the first one that we heard; those between may still come.
            between = (self.oldest - sequence) & SEQUENCE_MASK
            self.missing.update((sequence + step) & SEQUENCE_MASK for step in range(1, between))
            self.lost += between - 1
            self.oldest = sequence
        else:
            self.duplicates += 1
            return False
        self.received += 1
        return True

    def _gap(self, ahead: int) -> None:
        self.lost += ahead
        kept = min(ahead, WINDOW)
        self.missing.update(
            (self.expected + ahead - step) & SEQUENCE_MASK for step in range(1, kept + 1)
        )
        if len(self.missing) > 2 * WINDOW:
            newest = self.expected + ahead
            self.missing = {
                number for number in self.missing if (newest - number) & SEQUENCE_MASK <= WINDOW
            }

    def _restart(self, sequence: int, now_ms: int) -> None:
        self.restarts += 1
        self._count_anew(now_ms)
        self.expected = (sequence + 1) & SEQUENCE_MASK
        self.oldest = sequence

    def _count_anew(self, now_ms: int) -> None:
        self.reset_ms = now_ms
        self.lost_before += self.lost
        self.lost = 0
        self.missing.clear()
