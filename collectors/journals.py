"""The two journals of a history writer: one in memory, written at once, and one on the disk.

Rows have positions: 0, 1, 2, … in the order of arrival. Those of the rows that killed processes
left come first.
"""

import time
from collections.abc import Sequence
from itertools import islice

from jph.stores import Row
from jph.stores.journal import Journal


class Journals:
    """Tells which rows are on the disk, and which are stored and can be forgotten.

    The writer holds its lock during all calls but `sync` and `forget`, which one thread makes.

    Args:
        in_memory: where the next process finds the rows if this one is killed.
        on_disk: it is synced, and survives a power cut; without a folder if there is no need.

    Attributes:
        unsynced_s: when the oldest row came that is not on the disk.
    """

    def __init__(self, in_memory: Journal, on_disk: Journal) -> None:
        self.in_memory = in_memory
        self.on_disk = on_disk
        self.unsynced_s = time.monotonic()
        self._synced = on_disk.end  # position of the first row that is not on the disk
        self._stored = 0  # position of the oldest row that is in memory only
        self._forgotten = 0  # up to which position `on_disk` has forgotten its rows

    @property
    def end(self) -> int:
        """The position of the next row."""
        return self.in_memory.end

    def left(self) -> list[Row]:
        """Return the rows that killed processes left."""
        return self.on_disk.left + self.in_memory.left

    def is_synced(self) -> bool:
        """Tell whether no row waits to be synced."""
        return self._synced == self.end

    def waits_for_sync(self) -> bool:
        """Tell whether there are rows for `sync`."""
        return self.on_disk.folder is not None and self._synced < self.end

    def waits_to_forget(self) -> bool:
        """Tell whether there are rows for `forget`."""
        return self.on_disk.folder is not None and self._forgotten < self._stored

    def unsynced(self, waiting: Sequence[Row]) -> list[Row]:
        """Return the rows for `sync`, which count as synced from now on.

        Args:
            waiting: the newest rows, less those that are being stored.
        """
        start = max(0, len(waiting) - (self.end - self._synced))
        self._synced = self.end
        return list(islice(waiting, start, None))

    def release(self, position: int) -> None:
        """Forget the rows before a position: they are stored elsewhere."""
        self._stored = position
        self._synced = max(self._synced, position)
        self.in_memory.release(position)

    def sync(self, rows: Sequence[Row], end: int) -> None:
        """Bring rows to the disk.

        Args:
            end: the position behind them.
        """
        self.on_disk.end = end - len(rows)
        self.on_disk.append(rows)
        self.on_disk.sync()

    def forget(self) -> None:
        """Have the journal on the disk forget what is stored."""
        self._forgotten = stored = self._stored
        self.on_disk.release(stored)

    def close(self, position: int) -> None:
        """Forget the rows before a position, and leave the others to the next process."""
        for journal in (self.in_memory, self.on_disk):
            journal.release(position)
            journal.close()
