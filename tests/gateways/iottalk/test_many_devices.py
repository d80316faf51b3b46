"""Devices that come and leave by hundreds, and clients of both versions of MQTT."""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import paho.mqtt.client as mqtt
import pytest

from tests.brokers import connected
from tests.gateways.iottalk.programs import Device, Program, ask, gateway, network
from tests.helpers import eventually

DEVICES = 120


def test_a_storm_of_devices_that_come_and_leave_breaks_nothing(mqtt_broker, tmp_path):
    body = {"accept_protos": ["mqtt"], "idf_list": [["t", [None]]]}
    with (
        gateway(network(mqtt_broker), tmp_path) as (_, component),
        connected(mqtt_broker.port, "devices") as client,
        connected(mqtt_broker.port, "gui") as of_gui,
        ThreadPoolExecutor(8) as threads,
    ):
        gui = Program(of_gui)
        gui.send("/device", {"op": "attach"})
        assert gui.told.get(timeout=30)["state"] == "ok"

        def say(identifier, rev, state):
            client.publish(
                f"{identifier}/ctrl/i", json.dumps({"state": state, "rev": rev}), 2, True
            )

        def come(identifier):
            status, answer = ask(component, "PUT", f"/{identifier}", body)
            assert status == 200
            say(identifier, answer["rev"], "online")
            return answer["rev"]

        def leave(identifier, rev):
            say(identifier, rev, "offline")
            return ask(component, "DELETE", f"/{identifier}", {"rev": rev})[0]

        def online():
            return component.state()["online"]

        identifiers = [str(uuid4()) for _ in range(DEVICES)]
        stale = list(threads.map(come, identifiers))
        revs = list(threads.map(come, identifiers))  # all again, as after a power cut
        for identifier, rev in zip(identifiers, stale, strict=True):
            say(identifier, rev, "offline")  # wills of before, which come late
        eventually(lambda: online() == DEVICES, 60, "all are online")
        assert component.state()["devices"] == DEVICES
        half = DEVICES // 2
        assert set(threads.map(leave, identifiers[:half], revs)) == {200}
        assert set(threads.map(leave, identifiers[:half], revs)) == {404}
        eventually(lambda: online() == component.state()["devices"] == DEVICES - half, 60)
        told = [gui.told.get(timeout=30) for _ in range(DEVICES + half)]
        while len([it for it in told if it["type"] == "offline"]) < half:
            told.append(gui.told.get(timeout=30))
        left = {it["da"] for it in told if it["type"] == "offline"}
        assert left == set(identifiers[:half])


@pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_clients_speak_either_version_of_mqtt(mosquitto, tmp_path, version):
    with (
        gateway(network(mosquitto), tmp_path) as (_, component),
        connected(mosquitto.port, "device", version=version) as of_device,
        connected(mosquitto.port, "gui", version=version) as of_gui,
    ):
        device = Device(of_device, component, [("in", [None])], [("out", [None])])
        device.register()
        gui = Program(of_gui)
        gui.must("attach")
        gui.must("add_link", da_id=device.id, idf="in")
        gui.must("add_link", da_id=device.id, odf="out")
        assert {device.signal(), device.signal()} == {("CONNECT", "in"), ("CONNECT", "out")}
        device.push("in", [7])
        assert device.value() == ("out", [7])
        gui.must("rm_link", da_id=device.id, odf="out")
        assert device.signal() == ("DISCONNECT", "out")
