"""Logs in files: read backwards in blocks, followed over rotations, of any format."""

import gzip
import logging
import logging.handlers
import os

import pytest

from web.logs import files
from web.logs.files import LogFile
from web.logs.formats import Format
from web.logs.line import MOST, LogError, Wanted

ALL = Wanted()
FORMAT = "%(asctime)s %(levelname)-8s %(name)s [%(codifier)s] %(message)s"
PLAIN = Format()


def written(path, *texts, mode="a"):
    with open(path, mode) as file:
        file.writelines(f"{text}\n" for text in texts)


def texts(page):
    return [line.text for line in page.lines]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jph.log"


def test_the_last_lines_are_read_and_then_those_before(path):
    written(path, *(f"line {n}" for n in range(1000)))
    log = LogFile(path, PLAIN, ())
    page = log.older(None, ALL)
    assert texts(page) == [f"line {n}" for n in range(1000 - MOST, 1000)]
    seen = texts(page)
    while page.before is not None:
        page = log.older(page.before, ALL)
        seen = texts(page) + seen
    assert seen == [f"line {n}" for n in range(1000)]


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_may_end_anywhere(path, monkeypatch, block):
    monkeypatch.setattr(files, "BLOCK", block)
    lines = ["", "ä" * 9, "b", "", "a long line of 50 letters or so, over many blocks"]
    written(path, *lines)
    assert texts(LogFile(path, PLAIN, ()).older(None, ALL)) == lines


def test_a_file_of_a_gigabyte_is_read_from_its_end_alone(path, monkeypatch):
    with open(path, "wb") as file:
        file.truncate(1 << 30)  # sparse
        file.seek(0, os.SEEK_END)
        file.writelines(b"\nline %d" % n for n in range(MOST + 5))
        file.write(b"\n")
    read = []
    real = files._File.read
    monkeypatch.setattr(
        files._File,
        "read",
        lambda part, offset, size: read.append(size) or real(part, offset, size),
    )
    assert len(LogFile(path, PLAIN, ()).older(None, ALL).lines) == MOST
    assert sum(read) <= 3 * files.BLOCK


def test_a_rare_line_is_looked_for_bit_by_bit(path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 5000)
    written(path, "the needle", *(f"hay {n}" for n in range(2000)))
    log, wanted = LogFile(path, PLAIN, ()), Wanted(words=("needle",))
    page, answers = log.older(None, wanted), 1
    while not page.lines:
        page, answers = log.older(page.before, wanted), answers + 1
    assert texts(page) == ["the needle"]
    assert answers > 2


def test_rotated_parts_go_on_backwards_and_forwards(tmp_path, path):
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=300, backupCount=50)
    logger = logging.Logger("jph.x")
    logger.addHandler(handler)
    for n in range(40):
        logger.info("line %03d", n)
    log = LogFile(path, PLAIN, ())
    page = log.older(None, ALL)
    assert len(list(tmp_path.iterdir())) > 1
    assert [text for text in texts(page) if text] == [f"line {n:03}" for n in range(40)]
    for n in range(40, 90):
        logger.info("line %03d", n)
    handler.close()
    found = log.newer(page.after, ALL)
    assert texts(found) == [f"line {n:03}" for n in range(40, 90)]
    assert texts(log.newer(found.after, ALL)) == []


def packed(path, *texts):
    with gzip.open(path, "wt") as file:
        file.writelines(f"{text}\n" for text in texts)


def test_parts_that_gzip_packed_are_read_too(path):
    for number, age_s in ((3, 300), (2, 200)):
        part = path.with_name(f"jph.log.{number}.gz")
        packed(part, *(f"part {number} line {n}" for n in range(300)))
        os.utime(part, (1e9 - age_s, 1e9 - age_s))
    written(path.with_name("jph.log.1"), "part 1")
    os.utime(path.with_name("jph.log.1"), (1e9, 1e9))
    written(path, "now")
    log = LogFile(path, PLAIN, ())
    page = log.older(None, ALL)
    seen, after = texts(page), page.after
    while page.before is not None:
        page = log.older(page.before, ALL)
        seen = texts(page) + seen
    lines = [f"part {number} line {n}" for number in (3, 2) for n in range(300)]
    assert seen == [*lines, "part 1", "now"]
    assert texts(log.older(None, Wanted(words=("part 3 line 7",))))[0] == "part 3 line 7"
    written(path, "later")
    assert texts(log.newer(after, ALL)) == ["later"]


def test_a_packed_part_that_is_damaged_or_far_too_large_hides_no_other(path, monkeypatch):
    cut = path.with_name("jph.log.2.gz")
    packed(cut, *(f"line {n} {n * 7919 % 1013}" for n in range(20_000)))
    cut.write_bytes(cut.read_bytes()[:2000])
    path.with_name("jph.log.3.gz").write_bytes(b"no gzip")
    path.with_name("jph.log.4.gz").write_bytes(b"")
    written(path, "now")
    log = LogFile(path, PLAIN, ())
    seen = texts(log.older(None, ALL))
    assert seen[-1] == "now" and len(seen) > 1
    monkeypatch.setattr(files, "MOST_UNPACKED", 1000)
    packed(cut, *("x" * 100 for _ in range(20)))
    assert texts(log.older(None, ALL)) == ["now"]


def test_a_file_that_is_followed_may_be_emptied_or_begun_anew(path):
    written(path, "one", "two")
    log = LogFile(path, PLAIN, ())
    after = log.older(None, ALL).after
    written(path, "three", mode="w")
    found = log.newer(after, ALL)
    assert texts(found) == ["three"]
    path.unlink()
    written(path, "four")
    assert texts(log.newer(found.after, ALL))[-1] == "four"


def test_a_line_that_is_being_written_waits_for_its_end(path):
    path.write_text("one\ntw")
    log = LogFile(path, PLAIN, ())
    page = log.older(None, ALL)
    assert texts(page) == ["one"]
    path.write_text("one\ntwo\n")
    assert texts(log.newer(page.after, ALL)) == ["two"]


def test_a_traceback_belongs_to_its_record(path):
    written(
        path,
        "2026-11-27 22:00:00,123 INFO     jph.x [A1] begins",
        "2026-11-27 22:00:01,456 ERROR    TempLinux [A1] it failed",
        "Traceback (most recent call last):",
        "ValueError: <b>",
        "2026-11-27 22:00:02,000 WARNING  jph.y [] B2: is late",
    )
    log = LogFile(path, Format(FORMAT), {"A1", "B2"})
    first, failed, late = log.older(None, ALL).lines
    assert (first.level, first.logger, first.codifier) == (logging.INFO, "jph.x", "A1")
    assert failed.text == "it failed\nTraceback (most recent call last):\nValueError: <b>"
    assert (late.codifier, late.text) == ("B2", "B2: is late")
    assert late.time_ms - first.time_ms == 1877
    assert texts(log.older(None, Wanted(level=logging.ERROR))) == [failed.text]
    assert texts(log.older(None, Wanted(codifiers=frozenset({"B2"})))) == ["B2: is late"]
    assert texts(log.older(None, Wanted(words=("valueerror", "templinux")))) == [failed.text]
    written(path, "2026-11-27 22:00:03,000 ERROR    jph.x [A1] again", "  and on")
    assert texts(log.newer(log.older("1.5", ALL).after, ALL)) == []


@pytest.mark.parametrize("place", ["", "x", "1.x", "1"])
def test_a_place_that_is_none_is_refused(path, place):
    written(path, "one")
    with pytest.raises(ValueError):
        LogFile(path, PLAIN, ()).newer(place, ALL)


def test_a_file_that_is_gone_is_told(path):
    with pytest.raises(LogError, match=r"jph\.log"):
        LogFile(path, PLAIN, ()).older(None, ALL)


@pytest.mark.parametrize(
    "text, datefmt, line, level, logger, codifier, said",
    [
        (
            "%(levelname)s %(name)s: %(message)s",
            None,
            "INFO jph.x: A1: on",
            20,
            "jph.x",
            "A1",
            "A1: on",
        ),
        ("%(asctime)s|%(message)s", "%d.%m.%Y %H:%M", "27.11.2026 22:01|on", 0, "", "", "on"),
        ("%(process)d %(levelno)s %(message)s", None, "17 40 on", 40, "", "", "on"),
        ("[%(levelname)s] %(codifier)s %(message)s", None, "[ERROR] A1 on", 40, "", "A1", "on"),
        (FORMAT, None, "something else", 0, "", "", "something else"),
    ],
)
def test_formats_are_read_back(text, datefmt, line, level, logger, codifier, said):
    found = Format(text, datefmt).line(line, {"A1"})
    assert (found.level, found.logger, found.codifier, found.text) == (
        level,
        logger,
        codifier,
        said,
    )
    assert (found.time_ms is not None) == ("|" in line)


def test_a_link_that_signs_in_is_never_shown(path):
    written(path, "Sign in once with http://127.0.0.1:8080/enter/abc_DEF-123")
    (line,) = LogFile(path, PLAIN, ()).older(None, ALL).lines
    assert line.text == "Sign in once with http://127.0.0.1:8080/enter/…"
