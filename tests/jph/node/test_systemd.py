"""What systemd hears, at a socket of the test in its place."""

import os
import socket
import subprocess
import sys
import time

import pytest

from jph.node.systemd import Notifier, from_environment


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Return a socket that hears, and its address as NOTIFY_SOCKET gives it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.settimeout(10)
        if request.param == "path":
            address = str(tmp_path / "notify")
            heard.bind(address)
        else:
            heard.bind("")  # the kernel chooses an abstract name
            address = "@" + heard.getsockname()[1:].decode()
        yield heard, address


@pytest.fixture
def notifier(manager):
    made = Notifier(manager[1])
    yield made
    made.close()


def test_each_message_is_one_datagram(manager, notifier):
    heard, _ = manager
    for say, expected in (
        (notifier.ready, b"READY=1"),
        (notifier.alive, b"WATCHDOG=1"),
        (notifier.stopping, b"STOPPING=1\nSTATUS=stopping"),
        (lambda: notifier.ready("all is well"), b"READY=1\nSTATUS=all is well"),
        (lambda: notifier.status("3/s, \xe4\nREADY=1"), b"STATUS=3/s, \xc3\xa4 READY=1"),
        (lambda: notifier.status("\ud800"), b"STATUS=?"),
    ):
        assert say() is True
        assert heard.recv(4096) == expected


def test_reloading_carries_the_monotonic_clock_in_microseconds(manager, notifier):
    before_us = time.monotonic() * 1e6
    notifier.reloading()
    word, _, clock = manager[0].recv(4096).decode().partition("\n")
    assert word == "RELOADING=1"
    name, _, now_us = clock.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before_us - 1 <= int(now_us) <= time.monotonic() * 1e6 + 1


def test_a_full_queue_loses_messages_and_never_blocks(manager, notifier):
    said = [notifier.alive() for _ in range(10_000)]
    assert said[0] is True
    assert said[-1] is False
    while notifier.ready() is False:
        manager[0].recv(4096)


@pytest.mark.parametrize(
    "address", [None, "", "relative", "/nowhere/at/all", "/" + "x" * 200, "/a\0b", "@", "vsock:2:1"]
)
def test_without_a_manager_nothing_happens(address):
    notifier = Notifier(address)
    assert notifier.ready() is False
    assert notifier.reloading() is False
    notifier.close()
    assert notifier.alive() is False
    assert not notifier.is_heard


@pytest.mark.parametrize(
    "interval, watched, expected",
    [
        ("30000000", None, 30.0),
        ("500000", "me", 0.5),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("\u0663", None, None),
        (None, "me", None),
    ],
)
def test_the_watchdog_of_the_environment(monkeypatch, interval, watched, expected):
    for name, text in (("WATCHDOG_USEC", interval), ("WATCHDOG_PID", watched)):
        if text is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, text.replace("me", str(os.getpid())))
    assert from_environment().watchdog_s == expected


def test_children_cannot_speak_in_our_name(monkeypatch, manager):
    heard, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = from_environment()
    names = "import os; print([n for n in os.environ if n.startswith(('NOTIFY', 'WATCHDOG'))])"
    child = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True)
    assert child.stdout == "[]\n"
    assert notifier.ready() is True
    assert heard.recv(4096) == b"READY=1"
    notifier.close()


def test_a_file_descriptor_is_given_away_by_its_name(manager, notifier):
    heard, _ = manager
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        assert notifier.keep("data", one.fileno())
        assert heard.recv(4096) == b"FDSTOREREMOVE=1\nFDNAME=data"
        text, filenos, _, _ = socket.recv_fds(heard, 4096, 4)
        assert text == b"FDSTORE=1\nFDNAME=data\nFDPOLL=0"
        (fileno,) = filenos
        with socket.socket(fileno=fileno) as same:
            assert same.type == socket.SOCK_DGRAM


@pytest.mark.parametrize(
    ("pid", "count", "expected"),
    [("own", "2", {"a": 3, "b": 4}), ("1", "2", {}), ("own", "x", {}), ("own", "", {})],
)
def test_only_what_was_kept_for_this_process_is_its_own(monkeypatch, pid, count, expected):
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "own" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("LISTEN_FDNAMES", "a:b")
    monkeypatch.setattr(os, "set_inheritable", lambda fileno, inheritable: None)
    assert from_environment().kept == expected
    assert not any(name.startswith("LISTEN_") for name in os.environ)
