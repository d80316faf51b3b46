"""Devices at a broker that asks for accounts: what they are told, and what they may do."""

import contextlib
from uuid import uuid4

import pytest

from gateways.broker import accounts
from gateways.iottalk.component import IotTalk
from jph.errors import ConfigError
from tests.brokers import connected
from tests.gateways.iottalk.programs import Device, Program, ask, gateway, network
from tests.gateways.node import component_of
from tests.helpers import eventually, free_tcp_port
from tests.network import config_of

OWN, SHARED, PROGRAM = "the password of one", "the password of all", "the password of gui"


@pytest.mark.mosquitto
@pytest.mark.parametrize("engine", ["mosquitto", "nats"])
def test_a_device_gets_the_account_that_devices_share_or_has_its_own(engine, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(f"{SHARED}\n")
    port, web_socket = free_tcp_port(), free_tcp_port()
    asks = {"Engine": engine, "Port": port, "WebSocket": web_socket, "Anonymous": False}
    own = {"Broker": "MB", "Port": 0, "DeviceUser": "devices", "DevicePasswordFile": str(secret)}
    config = config_of(
        {"Codifier": "MB", "Type": "Broker", "Sensor": asks},
        {"Codifier": "IT", "Type": "IotTalk", "SensorInterval": 1, "Sensor": own},
    )
    lonely = str(uuid4())
    accounts.add(tmp_path, "devices", SHARED, all_devices=True)
    accounts.add(tmp_path, lonely, OWN)
    accounts.add(tmp_path, "gui", PROGRAM, program=True)
    with component_of(config, "MB", tmp_path), gateway(config, tmp_path) as (_, component):
        body = {"accept_protos": ["mqtt"], "idf_list": [["in", [None]]]}
        status, told = ask(component, "PUT", f"/{uuid4()}", body)
        assert status == 200
        assert told["url"] == {
            "scheme": "mqtt",
            "host": "127.0.0.1",
            "port": port,
            "ws_scheme": "ws",
            "ws_port": web_socket,
            "ws_path": "/mqtt",
        }
        with (
            # As a device application in a browser does; paho takes this very path.
            connected(
                told["url"]["ws_port"],
                "1",
                told["username"],
                told["password"],
                transport="websockets",
            ) as first,
            connected(port, "2", lonely, OWN) as second,
            connected(port, "3", "gui", PROGRAM) as third,
        ):
            sensor = Device(first, component, [("in", [None])])
            lamp = Device(second, component, (), [("light", [None])], lonely)
            sensor.register()
            lamp.register()
            gui = Program(third)
            gui.must("attach")
            gui.must("add_link", da_id=sensor.id, idf="in")
            gui.must("add_link", da_id=lamp.id, odf="light")
            assert sensor.signal() == ("CONNECT", "in")
            assert lamp.signal() == ("CONNECT", "light")
            sensor.push("in", 3)
            assert lamp.value() == ("light", [3])
            known = component._register
            eventually(lambda: all(known.known.devices[it.id].online for it in (sensor, lamp)))
            said = f'{{"state": "offline", "rev": "{sensor.rev}"}}'
            with (
                connected(port, "4", lonely, OWN) as other,
                contextlib.suppress(RuntimeError),  # nats ends the connection of who may not
            ):
                other.publish(sensor.up, said, 1).wait_for_publish(2)
            gui.must("rm_link", da_id=lamp.id, odf="light")  # comes after it
            assert known.known.devices[sensor.id].online


def test_devices_are_told_of_web_socket_at_a_broker_elsewhere(mosquitto, tmp_path):
    body = {"accept_protos": ["mqtt"], "idf_list": [["in", [None]]]}
    for given, expected in (
        ({}, ("ws", None, "/mqtt")),
        ({"WebSocket": "ws://broker:9001"}, ("ws", 9001, "/mqtt")),
        ({"WebSocket": "wss://broker/iot/mqtt"}, ("wss", 443, "/iot/mqtt")),
    ):
        with gateway(network(mosquitto, **given), tmp_path) as (_, component):
            url = ask(component, "PUT", f"/{uuid4()}", body)[1]["url"]
        assert (url["ws_scheme"], url["ws_port"], url["ws_path"]) == expected


@pytest.mark.parametrize("wrong", ["9001", "http://broker:9001", "ws://broker:x", "ws://b:99999"])
def test_what_is_no_web_socket_is_refused(wrong):
    with pytest.raises(ConfigError, match="WebSocket"):
        IotTalk.check_settings({"web_socket": wrong}, ())
