"""Receiving in a file: what a killed process had received and not handed over is in it."""

import os
import signal
import subprocess
import sys

import pytest

from jph import owned
from jph.bus import sockets
from jph.bus.group import Group
from jph.bus.receive_file import ReceiveFile, left_behind
from jph.bus.receiver import DataReceiver
from tests import helpers
from tests.helpers import eventually
from tests.jph.bus.test_receiver import F, datagram, receive_all
from tests.tools.program import TOP


@pytest.fixture
def folder(tmp_path):
    return owned.private_folder(tmp_path / "journal")


@pytest.fixture
def send():
    with helpers.bare_sender() as sender:
        yield sender.sendto


def text(words):
    return len(words).to_bytes(4, "little") + words


def receiver_on(bus, file):
    made = DataReceiver()
    made.receive_in(file)
    made.use(sockets.open_receiver(Group(*bus.data, helpers.LOOPBACK, 0)))
    return made


def readings_left(folder):
    with left_behind(folder, "HW") as readings:
        return [reading[:6] for reading in readings]


def test_it_receives_as_without_a_file(bus, folder, send):
    file = ReceiveFile(folder, "HW")
    receiver = receiver_on(bus, file)
    for sequence in range(10, 400):
        send(datagram(sequence, payload=F.pack(sequence / 2)), bus.data)
    send(datagram(400, b"s", text(b"x" * 1440)), bus.data)
    readings = receive_all(receiver, 391)
    assert [r[2] for r in readings] == list(range(10, 401))
    assert readings[-1][3] == "x" * 1440
    receiver.close()
    file.close()
    assert not folder.exists()


@pytest.mark.parametrize("count", [1, 2, 100])
def test_what_a_killed_process_received_last_is_found(bus, folder, send, count):
    program = f"""
import os, signal, sys, time
from pathlib import Path
from jph.bus import sockets
from jph.bus.group import Group
from jph.bus.receive_file import ReceiveFile
from jph.bus.receiver import DataReceiver
receiver = DataReceiver()
receiver.receive_in(ReceiveFile(Path({str(folder)!r}), "HW"))
receiver.use(sockets.open_receiver(Group({bus.data[0]!r}, {bus.data[1]}, "127.0.0.1", 0)))
print("joined", flush=True)
sys.stdin.readline()
while not receiver.receive():
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(TOP)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "joined\n"
        sent = [datagram(n, payload=F.pack(n / 2)) for n in range(1, count)]
        sent.append(datagram(count, b"s", text(b"y" * 1440)))
        for one in sent:
            send(one, bus.data)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(60) == -signal.SIGKILL
    left = readings_left(folder)
    # The first call looks for a batch, which is all that waited then.
    assert left[-1][:4] == ("A1", 7, count, "y" * 1440)
    assert [one[2] for one in left] == list(range(1, count + 1))
    assert readings_left(folder) == []


def test_nothing_is_made_of_two_datagrams(bus, folder, send):
    receiver = receiver_on(bus, ReceiveFile(folder, "HW"))
    send(datagram(1, payload=F.pack(1.5)), bus.data)
    receive_all(receiver, 1)
    for size in range(1, 32):  # each too short for a message, over the bytes of one that was whole
        send(datagram(2, payload=F.pack(2.5))[:size], bus.data)
        before = receiver.received
        eventually(lambda before=before: receiver.receive() or receiver.received > before)
        content = next(folder.glob("*.received")).read_bytes()
        copy = owned.create(folder, "H2", ".received")
        copy.path.write_bytes(content)
        copy.close()
        with left_behind(folder, "H2") as readings:
            assert {reading[1:4] for reading in readings} <= {(7, 1, 1.5)}  # as it was received
    receiver.close()


def test_a_living_process_keeps_its_file(folder):
    file = ReceiveFile(folder, "HW")
    with left_behind(folder, "HW"):
        pass
    assert len(list(folder.iterdir())) == 1
    file.close()
