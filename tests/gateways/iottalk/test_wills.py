"""Devices that die with their broker, whose wills are lost with it."""

import contextlib
import json
from contextlib import ExitStack

import pytest

from gateways.iottalk import wills
from tests.brokers import connected
from tests.gateways.iottalk.programs import Device, Program, gateway, network
from tests.gateways.node import component_of
from tests.helpers import eventually, free_tcp_port
from tests.network import config_of

EVER_S = 1e6


@pytest.fixture
def patience(monkeypatch):
    """Return what sets how long a gateway waits for devices; for ever at first."""
    monkeypatch.setattr(wills, "PATIENCE_S", EVER_S)
    return lambda seconds: monkeypatch.setattr(wills, "PATIENCE_S", seconds)


@contextlib.contextmanager
def clients(broker, *names):
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(connected(broker.port, name)) for name in names]


def with_will(client, component, name):
    """Return a device that comes online whenever it connects, as iottalk-py does."""
    device = Device(client, component, [("t", [None])], name=name)
    device.register()

    def on_connect(*_):
        client.subscribe(device.down, 2)
        client.publish(device.up, json.dumps({"state": "online", "rev": device.rev}), 2, True)

    client.on_connect = on_connect
    client.reconnect_delay_set(1, 1)
    return device


def online(component):
    known = component._register.known.devices.values()
    return {device.name for device in known if device.online and not device.is_internal}


def is_settled(component):
    """Tell whether its data connection is known, and none whose end was not told."""
    known = set(component._register.known.connections)
    component.on_timer(0, "", 0)
    return known == {component._wills.present} and component._channels.is_connected


def test_who_died_with_the_broker_is_offline_and_who_came_back_is_online(
    mqtt_broker, tmp_path, patience
):
    with (
        gateway(network(mqtt_broker), tmp_path) as (_, component),
        clients(mqtt_broker, "a", "b", "c", "gui") as (first, second, third, of_gui),
    ):
        dead = with_will(first, component, "dead")
        with_will(second, component, "alive")
        silent = Device(third, component, [("t", [None])], name="only values")
        silent.register()
        gui = Program(of_gui)
        gui.must("attach")
        for device in (dead, silent):
            gui.must("add_link", da_id=device.id, idf="t")
        assert silent.signal() == ("CONNECT", "t")
        eventually(lambda: is_settled(component), 60, "its connection is known")
        eventually(lambda: online(component) == {"dead", "alive", "only values"}, 60)
        heard_us = {it.name: it.heard_us for it in component._register.known.devices.values()}

        mqtt_broker.kill()
        first.loop_stop()  # it ends, too, and nobody publishes its will
        mqtt_broker.start()
        eventually(lambda: component._inlet.connection.number, 60, "it is connected again")

        def came_back():
            known = component._register.known.devices.values()
            (alive,) = [it for it in known if it.name == "alive"]
            silent.push("t", [1])
            return (
                alive.heard_us > heard_us["alive"]
                and component._channels.counts["values"]
                and component._channels.is_connected
            )

        eventually(came_back, 60, "one is back, and another one sends values")
        eventually(lambda: len(component._register.known.connections) == 2, 60)
        component.on_timer(0, "", 0)
        assert online(component) == {"dead", "alive", "only values"}
        patience(0)
        eventually(lambda: is_settled(component), 60, "the lost will has its consequence")
        assert online(component) == {"alive", "only values"}

    patience(EVER_S)
    with gateway(network(mqtt_broker), tmp_path) as (_, component):
        # What the broker retains of it says so, too.
        eventually(lambda: is_settled(component), 60)
        assert online(component) == {"alive", "only values"}


def test_all_three_died_at_once(mqtt_broker, tmp_path, patience):
    with clients(mqtt_broker, "a", "b") as (first, second):
        with gateway(network(mqtt_broker), tmp_path) as (_, component):
            with_will(first, component, "dead")
            with_will(second, component, "alive")
            eventually(lambda: is_settled(component), 60)
            eventually(lambda: online(component) == {"dead", "alive"}, 60)
            mqtt_broker.kill()
            first.loop_stop()
        mqtt_broker.start()
        eventually(second.is_connected, 60)
        with gateway(network(mqtt_broker), tmp_path) as (_, component):
            of = component._register
            eventually(lambda: len(of.known.connections) == 2, 60)
            started_us = component._wills._started_us
            eventually(
                lambda: any(it.heard_us > started_us for it in of.known.devices.values()), 60
            )
        with gateway(network(mqtt_broker), tmp_path) as (_, component):  # it waits anew
            eventually(
                lambda: component._wills.present in component._register.known.connections, 60
            )
            assert online(component) == {"dead", "alive"}
            patience(0)
            eventually(lambda: is_settled(component), 60)
            assert online(component) == {"alive"}


def test_a_restart_of_the_gateway_alone_takes_nobody_offline(mqtt_broker, tmp_path, patience):
    with clients(mqtt_broker, "a") as (client,):
        for number in range(3):
            with gateway(network(mqtt_broker), tmp_path) as (_, component):
                if not number:
                    with_will(client, component, "alive")
                eventually(lambda it=component: is_settled(it), 60, "the broker told of the last")
                eventually(lambda it=component: online(it) == {"alive"}, 60)
                patience(0)
                component.on_timer(0, "", 0)
                assert online(component) == {"alive"}
                patience(EVER_S)


@pytest.mark.mosquitto
@pytest.mark.parametrize("engine", ["mosquitto", "nats"])
def test_who_died_while_our_broker_and_the_gateway_were_away_is_offline(engine, tmp_path, patience):
    """Broker and gateway end in an orderly way, and tell of their connections."""
    config = with_our_broker(engine)
    port = config.components["MB"].settings["Port"]
    with ExitStack() as opened:
        with component_of(config, "MB", tmp_path), gateway(config, tmp_path) as (_, component):
            dead, alive = (opened.enter_context(connected(port, name)) for name in "ab")
            with_will(dead, component, "dead")
            with_will(alive, component, "alive")
            eventually(lambda: is_settled(component), 60)
            eventually(lambda: online(component) == {"dead", "alive"}, 60)
        dead.loop_stop()
        with component_of(config, "MB", tmp_path):
            with gateway(config, tmp_path) as (_, component):
                eventually(lambda: "alive" in online(component), 60)
                here = component._register

                def is_heard():
                    (it,) = [it for it in here.known.devices.values() if it.name == "alive"]
                    return it.heard_on == component._looks.run

                eventually(is_heard, 60, "it is back")
                patience(0)
                component.on_timer(0, "", 0)
                eventually(lambda: online(component) == {"alive"}, 60)
                patience(EVER_S)
            with gateway(config, tmp_path) as (_, component):  # alone, its broker goes on
                eventually(lambda: is_settled(component), 60)
                patience(0)
                component.on_timer(0, "", 0)
                assert online(component) == {"alive"}


def with_our_broker(engine):
    own = {"Engine": engine, "Port": free_tcp_port(), "Anonymous": True}
    return config_of(
        {"Codifier": "MB", "Type": "Broker", "Sensor": own},
        {
            "Codifier": "IT",
            "Type": "IotTalk",
            "SensorInterval": 1,
            "Sensor": {"Broker": "MB", "Port": 0},
        },
    )
