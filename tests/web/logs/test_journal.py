"""The journal, written by a real journald in a mount namespace of its own."""

import logging
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from web.logs import journal as module
from web.logs.journal import Journal
from web.logs.line import MOST, LogError, Wanted

JOURNALD = "/usr/lib/systemd/systemd-journald"
ALL = Wanted()
LINES = 300
# journald takes its sockets and its files from /run, which is a new one here.
SCRIPT = f"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
{JOURNALD} 2>/dev/null &
daemon=$!
for try in $(seq 100); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.1; done
(
    for n in $(seq {LINES}); do echo "INFO jph.node: line $n"; done
    echo "WARNING TempLinux: A1: is late"
    echo "Open http://127.0.0.1:8080/enter/secret_Token"
) | systemd-cat --identifier=jph
echo "Main process exited <b>" | systemd-cat --identifier=systemd --priority=err
echo "of somebody else" | systemd-cat --identifier=other
for try in $(seq 100); do
    journalctl --identifier=other --quiet | grep -q somebody && break
    sleep 0.1
done
journalctl --sync 2>/dev/null || true
cp -r /run/log/journal/. "$1"
kill $daemon
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a journal."""
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if os.geteuid() or tried.returncode or not Path(JOURNALD).exists():
        pytest.skip("no journald here, or not root")
    made = tmp_path_factory.mktemp("journal")
    command = ["unshare", "--mount", "bash", "-c", SCRIPT, "journal", str(made)]
    subprocess.run(command, check=True, timeout=60)
    return made


@pytest.fixture
def journal(folder):
    match = (f"--directory={folder}", "--identifier=jph", "--identifier=systemd")
    return Journal({"A1"}, match)


def texts(page):
    return [line.text for line in page.lines]


def test_the_newest_entries_are_read_and_then_those_before(journal):
    assert journal.is_readable()
    page = journal.older(None, ALL)
    assert texts(page)[-3:] == [
        "A1: is late",
        "Open http://127.0.0.1:8080/enter/…",
        "Main process exited <b>",
    ]
    assert len(page.lines) == MOST
    seen = texts(page)
    while page.before is not None:
        page = journal.older(page.before, ALL)
        seen = texts(page) + seen
    assert seen[:-3] == [f"line {n}" for n in range(1, LINES + 1)]


def test_entries_have_level_logger_and_component(journal):
    late, _, exited = journal.older(None, ALL).lines[-3:]
    assert (late.level, late.logger, late.codifier) == (logging.WARNING, "TempLinux", "A1")
    assert (exited.level, exited.logger, exited.codifier) == (logging.ERROR, "systemd", "")
    assert exited.time_ms >= late.time_ms > 1_700_000_000_000
    assert texts(journal.older(None, Wanted(codifiers=frozenset({"A1"})))) == ["A1: is late"]
    assert texts(journal.older(None, Wanted(level=logging.ERROR))) == ["Main process exited <b>"]


def test_what_comes_after_a_place_is_followed(journal):
    page = journal.older(None, Wanted(words=("line 7",)))
    assert journal.newer(page.after, ALL).lines == []
    place = journal.older(journal.older(None, ALL).before, ALL)
    assert len(journal.newer(place.after, ALL).lines) == MOST
    assert journal.newer(place.after, ALL).after == page.after


def test_a_long_journal_is_looked_through_bit_by_bit(journal, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 50)
    wanted = Wanted(words=("line", "17"))
    page, seen = journal.older(None, wanted), []
    while True:
        seen = texts(page) + seen
        if page.before is None:
            break
        page = journal.older(page.before, wanted)
    assert seen[0] == "line 17"
    assert "line 117" in seen


@pytest.mark.parametrize("place", ["x y", "--file=/etc/passwd\n", "s=1;$(id)", "a" * 500])
def test_a_place_that_is_none_is_refused(journal, place):
    with pytest.raises(ValueError):
        journal.older(place, ALL)


def test_a_cursor_of_another_journal_is_an_error_or_leads_somewhere(journal):
    try:
        journal.newer("s=0;i=1", ALL)
    except LogError as error:
        assert "journalctl" in str(error)


def test_without_entries_of_ours_it_is_not_readable(folder, monkeypatch):
    assert not Journal((), (f"--directory={folder}", "--identifier=nobody")).is_readable()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not Journal((), (f"--directory={folder}",)).is_readable()
