"""Requests that come in several messages, as some shells send them."""

import pytest

from gateways.iottalk.requests import MOST_KEPT, MOST_PIECES, Pieces

LINES = (b'{"codes": ["def run(x): return x', b'", "def run(x): return 2 * x', b'"], "op": "o"}')
WHOLE = {"codes": ["def run(x): return x\n", "def run(x): return 2 * x\n"], "op": "o"}


def test_lines_of_one_request_are_put_together():
    pieces = Pieces()
    for _ in range(2):
        for line in LINES[:-1]:
            with pytest.raises(ValueError):
                pieces.whole("a", line)
        assert pieces.whole("a", LINES[-1]) == WHOLE


def test_a_whole_request_between_lines_is_one_of_its_own():
    pieces = Pieces()
    with pytest.raises(ValueError):
        pieces.whole("a", LINES[0])
    with pytest.raises(ValueError):
        pieces.whole("b", LINES[1])  # of another topic
    assert pieces.whole("a", b'{"op": "p"}') == {"op": "p"}
    with pytest.raises(ValueError):
        pieces.whole("a", LINES[2])


def test_what_is_kept_has_bounds():
    pieces = Pieces()
    for number in range(3 * MOST_PIECES):
        with pytest.raises(ValueError):
            pieces.whole(str(number), LINES[0])
    for _ in range(100):
        with pytest.raises(ValueError):
            pieces.whole("long", b"{" + b"x" * (MOST_KEPT // 10))
    assert len(pieces._kept) <= MOST_PIECES
    assert sum(map(len, pieces._kept.values())) <= 2 * MOST_KEPT
