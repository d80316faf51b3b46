import logging
import threading
from types import SimpleNamespace

import pytest

from jph import faults
from jph.faults import MOST_TEXT, Fault

log = logging.getLogger("test.faults")


@pytest.fixture(autouse=True)
def every_level(caplog):
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


def said(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_it_is_said_when_it_begins_and_when_it_ends_with_its_count(caplog, clock):
    fault = Fault(log)
    for _ in range(3):
        fault.note("the disk is full", "the disk is full; free some space")
        clock.now_s += 30
    assert fault.end("writing again")
    assert said(caplog) == [
        ("WARNING", "the disk is full; free some space"),
        ("INFO", "writing again (3 failures in 90 s)"),
    ]


def test_the_end_of_what_a_person_must_mend_is_said_a_level_below(caplog, clock):
    fault = Fault(log, logging.ERROR)
    fault.note("the disk is full")
    fault.end("writing again")
    assert said(caplog) == [
        ("ERROR", "the disk is full"),
        ("WARNING", "writing again (1 failure in 0 s)"),
    ]


def test_it_is_true_while_it_lasts_and_tells_the_last_reason():
    fault = Fault(log)
    assert not fault and fault.text == ""
    fault.note("no route")
    fault.note("x" * 1000)
    assert fault and fault.text == "x" * MOST_TEXT and fault.count == 2
    fault.end("there again")
    assert not fault and fault.text == "" and fault.count == 0


def test_a_fault_without_a_reason_is_one_too(caplog):
    fault = Fault(log)
    for _ in range(3):
        fault.note("", "A1: ; it is tried again")
    assert fault
    assert len(caplog.records) == 1


def test_what_works_says_nothing(caplog):
    assert not Fault(log).end("works")
    assert caplog.records == []


def test_failures_below_the_limit_are_no_fault(caplog, clock):
    fault = Fault(log)
    for _ in range(2):
        for _ in range(2):
            fault.note("gone", after=3)
        assert not fault and fault.count == 2
        assert not fault.end("here")
    assert caplog.records == []
    for _ in range(4):
        fault.note("gone", after=3)
    assert fault
    fault.end("here")
    assert said(caplog) == [("WARNING", "gone"), ("INFO", "here (4 failures in 0 s)")]


def test_another_fault_is_said_again(caplog):
    fault = Fault(log)
    for _ in range(2):
        fault.note("gone")
        fault.end("here")
    assert len(caplog.records) == 4


def test_while_it_lasts_it_may_be_said_again_with_the_count_so_far(caplog, clock):
    fault = Fault(log, every_s=60.0)
    for _ in range(5):
        fault.note("gone")
        clock.now_s += 25
    assert [text for _, text in said(caplog)] == ["gone", "gone (4 times so far)"]


def test_a_traceback_is_logged(caplog):
    try:
        raise KeyError("t")
    except KeyError as error:
        Fault(log).note("it raised", error=error)
    assert "KeyError: 't'" in caplog.text


def test_a_change_is_told_when_it_is_already_to_be_seen():
    seen = []
    fault = Fault(log, on_change=lambda: seen.append(fault.text))
    fault.note("gone")
    fault.note("still gone")
    fault.end("here")
    fault.end("here")
    assert seen == ["gone", ""]


def test_many_threads_begin_one_fault(caplog):
    fault = Fault(log)
    together = threading.Barrier(8)

    def fail():
        together.wait(30)
        for _ in range(100):
            fault.note("gone")

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert fault.count == 800
    assert len(caplog.records) == 1
