"""The last records of this process."""

import logging

import pytest

from jph.node.logs import AT_WORK
from web.logs import ring as module
from web.logs.line import MOST, Wanted
from web.logs.ring import Ring

ALL = Wanted()


@pytest.fixture
def ring():
    made = Ring(lambda: {"A1", "A2"})
    made.install()
    yield made
    made.remove()


def texts(page):
    return [line.text for line in page.lines]


def test_records_are_kept_with_their_component(ring):
    logger = logging.getLogger("TempLinux")
    logger.warning("A2: %s is late", "it")
    AT_WORK.set("A1")
    logger.warning("at work")
    AT_WORK.set("")
    logger.warning("nobody")
    found = ring.older(None, Wanted(words=("templinux",)))
    assert [(line.codifier, line.text) for line in found.lines] == [
        ("A2", "A2: it is late"),
        ("A1", "at work"),
        ("", "nobody"),
    ]
    assert found.lines[0].level == logging.WARNING


def test_what_comes_later_is_followed(ring):
    logger = logging.getLogger("jph.ring")
    after = ring.older(None, ALL).after
    logger.warning("one")
    found = ring.newer(after, ALL)
    assert texts(found) == ["one"]
    assert ring.newer(found.after, ALL).lines == []


def test_older_ones_are_read_page_by_page(ring):
    logger = logging.getLogger("jph.pages")
    for n in range(2 * MOST + 10):
        logger.warning("line %d", n)
    wanted = Wanted(words=("jph.pages",))
    page = ring.older(None, wanted)
    seen = texts(page)
    while page.before is not None:
        page = ring.older(page.before, wanted)
        seen = texts(page) + seen
    assert seen == [f"line {n}" for n in range(2 * MOST + 10)]


def test_it_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    small = Ring(dict)
    for n in range(5):
        small.emit(logging.LogRecord("x", 20, "", 1, "line %d", (n,), None))
    assert texts(small.older(None, ALL)) == ["line 2", "line 3", "line 4"]


def test_a_traceback_is_part_of_its_record(ring):
    try:
        raise ValueError("<b>")
    except ValueError:
        logging.getLogger("jph.trace").exception("it failed")
    (line,) = ring.older(None, Wanted(words=("jph.trace",))).lines
    assert line.text.startswith("it failed\nTraceback")
    assert line.text.endswith("ValueError: <b>")


def test_loggers_that_do_not_reach_the_root_are_heard_too():
    lonely = logging.getLogger("jphLonely")
    lonely.propagate = False
    ring = Ring(dict)
    ring.install()
    try:
        lonely.error("heard")
        assert texts(ring.older(None, Wanted(words=("jphlonely",)))) == ["heard"]
    finally:
        ring.remove()
        lonely.propagate = True
    assert lonely.handlers == []


def test_a_record_whose_arguments_are_wrong_is_kept_as_it_is(ring):
    ring.emit(logging.LogRecord("jph.wrong", 20, "", 1, "%d", ("x",), None))
    assert texts(ring.older(None, Wanted(words=("jph.wrong",)))) == ["%d"]
