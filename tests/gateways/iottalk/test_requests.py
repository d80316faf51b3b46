"""Requests that come in several messages, as some shells send them."""

import contextlib
import itertools
import json

import pytest

from gateways.iottalk.dataflow.model import digest_of
from gateways.iottalk.requests import MOST_KEPT, MOST_PIECES, Pieces
from jph.errors import StoreError
from tests.brokers import connected
from tests.gateways.iottalk.programs import Program, gateway, network

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


def test_lines_come_together_though_the_store_fails_at_each(mosquitto, tmp_path, monkeypatch):
    with (
        gateway(network(mosquitto), tmp_path) as (_, component),
        connected(mosquitto.port, "gui") as client,
    ):
        program = Program(client)
        program.must("attach")
        change, calls = component._register.change, itertools.count()

        @contextlib.contextmanager
        def change_at_second_try():
            with change() as draft:
                yield draft
                if not next(calls) % 2:
                    raise StoreError("away")

        monkeypatch.setattr(component._register, "change", change_at_second_try)
        source = 'def run(x):\n    return "a"\n'
        digest = digest_of(source)
        request = json.dumps({"op": "add_funcs", "codes": [source], "digests": [digest]})
        lines = request.split("\\n")
        assert len(lines) == 3
        for line in lines:
            program.send("/graph/1", line.encode())
            _, answer = program.answers.get(timeout=30)
        assert answer == {"op": "add_funcs", "digests": [digest], "state": "ok"}
