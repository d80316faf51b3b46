"""What devices and programs really give, from the driver to the bus: the right value, or none.

The kinds are those of public reports about such devices; each has further cases in the tests of
its module.
"""

import json
import struct
import time
from pathlib import Path

import pytest

from jph.node import building
from jph.node.node import Node
from tests.helpers import eventually, logged
from tests.http_server import says
from tests.network import Peer, config_of, running

SOON_S = 60.0

# Settings of a Pipe, the text of its file, and what is right: a number, or words of the refusal.
FILES = [
    ({"Match": "t=", "Scale": 0.001}, "ff ff : crc=c9 NO\nff ff t=-62\n", "checksum"),
    ({"Match": "t=", "Scale": 0.001}, "72 01 : crc=57 YES\n72 01 t=23125\n", 23.125),
    ({"Match": "state=", "Require": "ready"}, "busy state=5", "ready"),
    ({"Refuse": 85}, "85.0\n", "85"),
    ({"Match": "throttled="}, "throttled=0x50005\n", 327685),
    ({}, "23,5\n", "23,5"),
    ({}, "1,234.5\n", "1,234.5"),
    ({"Number": 1}, "21,55,1013\n", 55),
    ({}, "\u22125.5 °C\n", -5.5),
    ({"Match": "temp3:"}, "temp3:   N/A  (crit = +100.0°C)\n", "N/A"),
    ({"Match": "temp3:", "NextWord": True}, "temp3:\ntemp4: +47.0°C\n", "number"),
    ({"Match": "eth0:"}, "  veth0:  111 1\n   eth0:  999 9\n", 999),
    ({}, "123456789", 123456789),
    ({}, "18446744073709551615", 18446744073709551615),
    ({}, "1234567.89", 1234567.89),
]

# The body of an answer, its field, more of the entry, and what is right.
ANSWERS = [
    (b'{"values": [{"v": "10.7"}, {"v": "-5.46"}]}', "values.1.v", {}, -5.46),
    (b'{"t": "21.5"}', "t", {"Report": {"Scale": 1.8, "Offset": 32, "Max": 60}}, "70.7"),
    (b'{"t": "unavailable"}', "t", {}, "unavailable"),
    (b'{"t": "unavailable"}', "t", {"DataType": "string"}, "unavailable!"),
    (b'{"t": "on"}', "t", {"DataType": "bool"}, 1),
    (b'{"t": nan, "h": 45.5}', "h", {}, 45.5),
    (b'{"t": nan, "h": 45.5}', "t", {}, "at t"),
    (b'{"t": inf}', "t", {}, "at t"),
    (b'{"t": -inf}', "t", {"Type": "failsafeReader"}, 0),
    ('{"name": "5 °C", "t": 7.5}'.encode("latin-1"), "t", {}, 7.5),
    (b'{"t": 1234567.89}', "t", {}, 1234567.89),
    (b'{"t": 1234567.89}', "t", {"DataType": "float"}, 1234567.875),
]


def entries(folder: Path, server) -> dict[str, tuple[dict, object]]:
    """Return an entry of the configuration and what is right, for each case, by Codifier."""
    found = {}
    for number, (settings, text, right) in enumerate(FILES):
        file = folder / f"file{number}"
        file.write_text(text)
        found[f"F{chr(65 + number)}"] = {"Sensor": {"Pipe": str(file), **settings}}, right
    for number, (body, field, more, right) in enumerate(ANSWERS):
        server.answers[f"/{number}"] = says(body)
        sensor = {"URL": f"{server.url}/{number}", "Field": field}
        found[f"J{chr(65 + number)}"] = {"Type": "JSON", "Sensor": sensor, **more}, right
    return found


@pytest.mark.slow
def test_every_value_on_the_bus_is_right_and_every_other_one_is_refused(server, tmp_path, caplog):
    cases = entries(tmp_path, server)
    config = config_of(
        *({"Codifier": code, "SensorInterval": 0.3, **entry} for code, (entry, _) in cases.items())
    )
    right = {code: is_right for code, (_, is_right) in cases.items()}
    right = {code: it for code, it in right.items() if not isinstance(it, str) or it[-1] == "!"}
    node = Node(config, tmp_path / "home")
    for component in config.components.values():
        node.add(component, building.build)
    heard: dict[str, list[object]] = {}
    with Peer(config) as peer, running(node):
        until_s = time.monotonic() + SOON_S
        while any(len(heard.get(code, ())) < 3 for code in right) and time.monotonic() < until_s:
            message = peer.hear("data", lambda m: m["flag"] != "n", SOON_S)
            value = message["value"]
            if message["flag"] == "j":
                value = json.loads(value)["value"]
            heard.setdefault(message["source"], []).append(value)
        refused = {code: it for code, (_, it) in cases.items() if code not in right}
        for code, words in refused.items():
            eventually(lambda c=code, w=words: logged(caplog, c, w), SOON_S, f"{code}: {words}")
    assert heard.keys() == right.keys()
    for code, wanted in right.items():
        wanted = wanted.removesuffix("!") if isinstance(wanted, str) else wanted
        if isinstance(wanted, float) and wanted != 1234567.89:
            (wanted,) = struct.unpack("<f", struct.pack("<f", wanted))
        assert set(heard[code]) == {wanted}, code
    assert logged(caplog, "JL", "1234567.89", '"double"') == 1


@pytest.mark.slow
@pytest.mark.parametrize("ahead_s", [0, 60, 300_000_000])
def test_a_formula_ends_with_its_input_whatever_the_clock_of_that(tmp_path, ahead_s):
    config = config_of(
        {"Codifier": "EX", "Type": "External", "SensorInterval": 1, "TimeoutWarning": 2},
        {
            "Codifier": "FM",
            "Type": "Formula",
            "SensorInterval": 0.2,
            "Sensor": {"Formula": "EX + 1"},
        },
        {
            "Codifier": "FS",
            "Type": "Formula",
            "SensorInterval": 0.2,
            "Sensor": {"Formula": "1 if stale(EX) else 0"},
        },
    )
    node = Node(config, tmp_path)
    for code in ("FM", "FS"):
        node.add(config.components[code], building.build)
    with Peer(config) as peer, running(node):
        read_ms = int((time.time() + ahead_s) * 1000)

        def is_fresh() -> bool:
            is_fresh.sequence += 1
            payload = struct.pack("<f", 20.0)
            peer.publish("EX", "f", payload, is_fresh.sequence, read_ms)
            return not peer.quiet("data", lambda m: m["source"] == "FM" and m["flag"] == "f", 0.5)

        is_fresh.sequence = 1000
        eventually(is_fresh, SOON_S)
        stale = peer.hear("data", lambda m: m["source"] == "FS" and m.get("value") == 1.0, SOON_S)
        assert stale["value"] == 1.0
        peer.drain("data")
        assert peer.quiet("data", lambda m: m["source"] == "FM", 1.0)
