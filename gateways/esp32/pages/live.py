"""What changes, as server-sent events: each board as it is, at first all of them."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from flask import Response

from gateways.esp32.boards import Board
from gateways.esp32.service import Service

MOST_PAGES = 48  # each has a thread of the server, and other requests need some, too
LOOK_S = 1.0
FRAME_S = 0.2  # between two events; with 500 boards something changes 250 times a second


class Live:
    """Streams for the pages that are open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._places = threading.BoundedSemaphore(MOST_PAGES)

    def stream(self) -> Response:
        """Return an answer that goes on until the page is closed."""
        if not self._places.acquire(blocking=False):
            return Response("Too many pages are open.\n", 503, {"Retry-After": "10"})
        response = Response(self._events(), mimetype="text/event-stream")
        response.call_on_close(self._places.release)
        return response

    def _events(self) -> Iterator[str]:
        with self._service.changes() as changes:
            yield "retry: 2000\n\n"
            macs = [board.mac for board in self._service.boards()]
            yield f"event: boards\ndata: {json.dumps(macs)}\n\n"
            for board in self._service.boards():
                yield _event(board)
            while True:
                changed = changes.get(LOOK_S)
                if changed is None:  # who left is noticed only when something is sent
                    yield ":\n\n"
                    continue
                events = [_event(changed)]
                while (changed := changes.get(0)) is not None:
                    events.append(_event(changed))
                yield "".join(events)
                time.sleep(FRAME_S)  # meanwhile a board may change often, and is sent once


def as_json(board: Board) -> dict[str, Any]:
    """Return a board as pages know it."""
    return {
        "mac": board.mac,
        "name": board.name,
        "session": board.session,
        "connected": board.connected,
        "since_ms": board.since_ms,
        "seen_ms": board.seen_ms,
        "led": board.led,
        "button": board.button,
        "light": [value for _, value in board.light],
        "forgotten": board.forgotten,
    }


def _event(board: Board) -> str:
    return f"data: {json.dumps(as_json(board))}\n\n"
