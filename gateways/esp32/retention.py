"""How long values of boards are kept: by age, and until their board is forgotten.

They are dropped piece by piece, each in a transaction of its own, so that what arrives never waits
long.
"""

from collections.abc import Callable

from sqlalchemy import text

from gateways.esp32.tables import KINDS
from gateways.store import Store

DAY_MS = 86_400_000
PIECE = 5000  # rows

BOARDS = text("SELECT number FROM esp32_board")
ORPHAN = text(
    "SELECT board FROM esp32_reading WHERE board > :after"
    " AND board NOT IN (SELECT number FROM esp32_board) ORDER BY board LIMIT 1"
)
PIECE_END = text(
    "SELECT at_ms FROM esp32_reading WHERE board = :board AND kind = :kind AND at_ms < :before_ms"
    f" ORDER BY at_ms LIMIT 1 OFFSET {PIECE}"
)
DROP = text(
    "DELETE FROM esp32_reading WHERE board = :board AND kind = :kind AND at_ms < :before_ms"
)
FOR_EVER_MS = 2**62


def apply(
    store: Store, keep_days: float | None, now_ms: int, goes_on: Callable[[], bool] = lambda: True
) -> int:
    """Drop values that are too old, and those of no board any more; return how many.

    Args:
        keep_days: None: values of boards are kept for ever.
        goes_on: asked before each piece.

    Raises:
        StoreError: the store is away; what was dropped so far stays so.
    """
    with store.reading() as connection:
        boards = list(connection.scalars(BOARDS))
    dropped, orphan = 0, -1
    while goes_on():
        with store.reading() as connection:
            found = connection.scalar(ORPHAN, {"after": orphan})
        if found is None:
            break
        orphan = found
        dropped += _drop(store, orphan, FOR_EVER_MS, goes_on)
    if keep_days is not None:
        before_ms = now_ms - int(keep_days * DAY_MS)
        dropped += sum(_drop(store, board, before_ms, goes_on) for board in boards)
    return dropped


def _drop(store: Store, board: int, before_ms: int, goes_on: Callable[[], bool]) -> int:
    dropped = 0
    for kind in range(len(KINDS)):
        of_this = {"board": board, "kind": kind, "before_ms": before_ms}
        while goes_on():
            with store.reading() as connection:
                end_ms = connection.scalar(PIECE_END, of_this)
            piece = of_this if end_ms is None else {**of_this, "before_ms": end_ms + 1}
            with store.writing() as connection:
                dropped += connection.execute(DROP, piece).rowcount
            if end_ms is None:
                break
    return dropped
