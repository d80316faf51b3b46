"""A Broker that speaks TLS, with devices and an Inlet that know its certificate."""

import contextlib
import os
import socket
import ssl

import pytest

from gateways import rights as rights_module
from gateways.address import address_of
from gateways.inlet import Inlet
from gateways.rights import Rights
from jph.config import checks
from jph.errors import ConfigError
from jph.node.building import build
from jph.node.node import Node
from jph.node.process import STATE
from tests.brokers import connected
from tests.certificates import make_certificate
from tests.helpers import eventually, free_tcp_port, logged
from tests.network import config_of, running

pytestmark = pytest.mark.mosquitto
HOST = "DNS:broker.example"  # by which no gateway of the same machine asks for it
CONNECT = bytes.fromhex("10 0d 0004 4d515454 04 02 003c 0001 61")  # MQTT 3.1.1, as "a"
TOPIC = "measurements/81bf7042-e20f-4a97-ac44-c15853e3618f"


@pytest.fixture(autouse=True)
def a_gateway_with_rights(monkeypatch):
    rights = Rights(devices=("measurements/%s",))
    monkeypatch.setattr(rights_module, "_rights_of", lambda name, settings: rights)


@pytest.fixture(params=["mosquitto", "nats"])
def engine(request):
    return request.param


@pytest.fixture
def files(tmp_path):
    """Return the files of the certificate in use and of its key."""
    return make_certificate(tmp_path, "broker", hosts=HOST)


def network(engine, files, **more):
    own = {"Engine": engine, "Port": free_tcp_port(), **more}
    own |= dict(zip(("Certificate", "Key"), map(str, files), strict=True))
    return config_of(
        {"Codifier": "BR", "Type": "Broker", "SensorInterval": 0.2, "Sensor": own},
        {"Codifier": "GW", "Type": "Python", "Sensor": {"Broker": "BR"}},
    )


@contextlib.contextmanager
def broker(config, home):
    node = Node(config, home)
    node.add(config.components["BR"], build)
    with running(node):
        eventually(lambda: node.process.components()["BR"].state == STATE.GOOD, 60)
        yield config.components["BR"].settings


@contextlib.contextmanager
def gateway(address):
    """Take measurements as a gateway does; yield its inlet and the payloads that it committed."""
    taken = []
    inlet = Inlet(
        address,
        "jph-test",
        ["measurements/+"],
        lambda batch: taken.extend(message.payload.decode() for message in batch),
    )
    inlet.start()
    try:
        yield inlet, taken
    finally:
        inlet.close()


def knows(chain, host="broker.example"):
    """Return the trust of a device that asks for the broker by this name."""
    context = ssl.create_default_context(cafile=chain)
    wrap = context.wrap_socket
    context.wrap_socket = lambda *a, **more: wrap(*a, **more | {"server_hostname": host})
    return context


def publish(port, text, trust, **options):
    with connected(port, trust=trust, **options) as device:
        device.publish(TOPIC, text, 1).wait_for_publish(20)


def test_devices_and_gateways_come_in_by_tls_alone(engine, files, tmp_path):
    config = network(engine, files, WebSocket=free_tcp_port())
    address = address_of("BR", None, config, tmp_path)
    assert address.tls
    with broker(config, tmp_path) as settings, gateway(address) as (inlet, taken):
        eventually(lambda: inlet.status.connected, 60)
        publish(settings["Port"], "tls", knows(files[0]))
        publish(settings["WebSocket"], "wss", knows(files[0]), transport="websockets")
        eventually(lambda: taken == ["tls", "wss"])
        many = [f"{number} ".ljust(500) for number in range(300)]
        with connected(settings["Port"], trust=knows(files[0])) as device:
            for text in many:
                device.publish(TOPIC, text, 1)
            eventually(lambda: taken[2:] == many)
        del taken[2:]
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            publish(settings["Port"], "", knows(files[0], "elsewhere.example"))
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
            publish(settings["Port"], "", ssl.create_default_context())
        with socket.create_connection(("127.0.0.1", settings["Port"]), 20) as plain:
            plain.sendall(CONNECT)
            with contextlib.suppress(ConnectionResetError):
                assert not plain.recv(99).startswith(b"\x20"), "it has acknowledged"
        assert taken == ["tls", "wss"]


def test_a_gateway_sends_nothing_to_a_broker_with_another_certificate(engine, files, tmp_path):
    config = network(engine, files)
    other, _ = make_certificate(tmp_path, "other", hosts=HOST)
    with broker(config, tmp_path) as settings:
        entry = {**settings, "Certificate": str(other)}
        config = config_of({"Codifier": "BR", "Type": "Broker", "Sensor": entry})
        with gateway(address_of("BR", None, config, tmp_path)) as (inlet, _):
            eventually(lambda: "certificate verify failed" in inlet.status.reason)
            assert not inlet.status.connected


def test_a_broker_elsewhere_is_known_by_a_ca_of_ones_own(engine, tmp_path):
    files = make_certificate(tmp_path, "elsewhere")  # for 127.0.0.1
    config = network(engine, files)
    with broker(config, tmp_path) as settings:
        url = f"mqtts://127.0.0.1:{settings['Port']}"
        known = address_of(f"{url}?ssl_ca_certs={files[0]}", None, config, tmp_path)
        # As its certificate says nothing of accounts, the one of our own is needed besides.
        own = address_of("BR", None, config, tmp_path)
        with gateway(own) as (inlet, _):
            eventually(lambda: inlet.status.connected, 60)
        with gateway(known) as (inlet, _):
            eventually(lambda: inlet.status.connected, 60)
        with gateway(address_of(url, None, config, tmp_path)) as (inlet, _):
            eventually(lambda: "certificate verify failed" in inlet.status.reason)


def test_a_renewed_certificate_is_taken_over(engine, files, tmp_path, caplog):
    config = network(engine, files, WebSocket=free_tcp_port())
    with (
        broker(config, tmp_path) as settings,
        gateway(address_of("BR", None, config, tmp_path)) as (inlet, taken),
    ):
        eventually(lambda: inlet.status.connected, 60)
        renewed = make_certificate(tmp_path, "renewed", hosts=HOST)
        os.replace(renewed[0], files[0])  # for a moment its key does not fit
        eventually(lambda: logged(caplog, "the certificate from before stays in use"))
        os.replace(renewed[1], files[1])

        def comes_in():
            with contextlib.suppress(OSError, AssertionError):
                publish(settings["Port"], "new", knows(files[0]))
                publish(settings["WebSocket"], "new", knows(files[0]), transport="websockets")
                return True

        eventually(comes_in, 60)
        eventually(lambda: taken.count("new") >= 2, 60)


@pytest.mark.parametrize("given", [{"Certificate": "c.pem"}, {"Key": "c.key"}])
def test_a_certificate_needs_its_key(given):
    entry = {"Codifier": "BR", "Type": "Broker", "Sensor": given}
    mistakes, _ = checks.check(config_of(entry).document)
    assert mistakes == ["Certificate and Key go together: name both files, or none"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mqtt://host?ssl_ca_certs=x", "only mqtts:// takes"),
        ("mqtts://host?ca=x", "only mqtts:// takes"),
        ("mqtts://host?ssl_ca_certs=/none.pem", "/none.pem has no certificates"),
    ],
)
def test_what_is_no_way_to_tls_is_said(url, why, tmp_path):
    with pytest.raises(ConfigError, match=why):
        address_of(url, None, config_of(), tmp_path)
