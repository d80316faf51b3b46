"""A node lives through changes of its network; run by test_membership in a namespace of its own.

`unshare --map-root-user --net` makes a network namespace that holds nothing but what is made here:
an interface that comes, changes its address, goes and comes again. Prints what held, as JSON.
"""

import json
import logging
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jph.bus import sockets
from jph.bus.receiver import ControlReceiver
from jph.config.model import build
from jph.node.node import Node
from jph.node.runner import Callbacks
from tests.helpers import eventually

INTERFACE = "jphtest0"
PATIENCE_S = 8.0


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def make_interface(address: str) -> None:
    ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "jphtest1")
    ip("link", "set", "jphtest1", "up")
    ip("addr", "add", f"{address}/24", "dev", INTERFACE)
    ip("link", "set", INTERFACE, "up")


def hears(config, codifier: str = "A1", timeout_s: float = PATIENCE_S) -> str | None:
    """Return the address that a sign of life comes from, None if none comes."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        receiver = ControlReceiver()
        try:
            receiver.use(sockets.open_receiver(config.multicast.control))
        except OSError:
            time.sleep(0.05)
            continue
        try:
            heard = []
            eventually(lambda r=receiver, h=heard: h.extend(r.receive()) or h, 0.5)
            for message, sender in heard:
                if message.source == codifier:
                    return sender[0]
        except AssertionError:
            pass
        finally:
            receiver.close()
    return None


def publish(config, sequence: int) -> None:
    with sockets.open_sender(config.multicast.data) as sender:
        header = struct.pack("<IIQ", sequence, 0, 1) + b"fB1@@" + bytes(3) + struct.pack("<I", 4)
        sender.send(header + struct.pack("<f", 1.0))


def takes_data(config, heard: list, sequence: int) -> bool:
    """Tell whether the node hears a reading, sent again until it does."""

    def once() -> bool:
        publish(config, sequence)
        return sequence in heard

    try:
        return eventually(once, PATIENCE_S)
    except AssertionError:
        return False


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    group = {"Interface": INTERFACE, "TTL": 1}
    config = build(
        {
            "Multicast": {
                "Control-Channel": {"Address": "239.76.9.1", "Port": 7801, **group},
                "Data-Channel": {"Address": "239.76.9.2", "Port": 7802, **group},
            },
            "Sensors": [{"Codifier": "A1", "Type": "Pipe", "KeepAliveInterval": 0.1}],
        }
    )
    heard: list[int] = []
    held: dict[str, object] = {}
    node = Node(config, Path(tempfile.mkdtemp()))
    callbacks = Callbacks(on_batch=lambda readings: heard.extend(r[2] for r in readings))
    node.add(config.components["A1"], lambda channel: callbacks)
    node.start()
    try:
        held["waits for an interface that is not there"] = not any(
            channel.joined for channel in node.bus.status().channels.values()
        )
        make_interface("10.76.0.1")
        held["joins when it comes"] = hears(config)
        held["hears data then"] = takes_data(config, heard, 1)
        ip("addr", "add", "10.76.0.9/24", "dev", INTERFACE)
        ip("addr", "del", "10.76.0.1/24", "dev", INTERFACE)
        ip("addr", "add", "10.76.0.9/24", "dev", INTERFACE) if not _has("10.76.0.9") else None
        eventually(lambda: hears(config) == "10.76.0.9", PATIENCE_S)
        held["speaks from a new address"] = True
        held["hears data after the change"] = takes_data(config, heard, 2)
        ip("link", "del", INTERFACE)
        eventually(lambda: not node.bus.status().control.joined, PATIENCE_S)
        held["notices that the interface went"] = True
        make_interface("10.76.0.1")
        held["joins when it comes again"] = hears(config)
        held["hears data after that"] = takes_data(config, heard, 3)
        ip("link", "set", INTERFACE, "down")
        time.sleep(0.5)
        ip("link", "set", INTERFACE, "up")
        held["goes on after the link was down"] = hears(config)
        held["hears data after the link was down"] = takes_data(config, heard, 4)
    finally:
        node.stop()
        print(json.dumps(held))


def _has(address: str) -> bool:
    shown = subprocess.run(["ip", "addr", "show", INTERFACE], capture_output=True, check=True)
    return address.encode() in shown.stdout


if __name__ == "__main__":
    main()
