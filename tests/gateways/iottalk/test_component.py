"""IoTtalk between real brokers, a real bus and functions in their own processes."""

import contextlib
import json
import struct
import time
from uuid import uuid4

from gateways.iottalk import channels, paced
from jph.workers import confinement
from tests.brokers import connected
from tests.gateways.iottalk.local import confined
from tests.gateways.iottalk.programs import Device, Program, ask, gateway, network
from tests.helpers import eventually
from tests.network import Peer

TO_INT = "def run(x): return int(x)\n"
SQUARE = "def run(x): return x ** 2\n"

FAN = {"Codifier": "F1", "Type": "Fan", "Control": "enabled"}
PROXIES = (
    {"Codifier": "p1", "Type": "Proxy", "DataType": "double"},
    {"Codifier": "p2", "Type": "Proxy", "Control": "enabled"},
)


@contextlib.contextmanager
def clients(broker, *names):
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(connected(broker.port, name)) for name in names]


@confined
def test_the_cat_of_the_description_meows_squared(mqtt_broker, tmp_path):
    config = network(mqtt_broker)
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mqtt_broker, "cat", "gui") as (of_cat, of_gui),
    ):
        cat = Device(of_cat, component, [("meow", ["dB"])], [("meow", ["dB"])], name="BetaCat")
        answer = cat.register()
        assert answer["name"] == "BetaCat"
        assert answer["url"]["port"] == mqtt_broker.port
        gui = Program(of_gui)
        gui.must("attach")
        to_int, square = gui.functions(TO_INT, SQUARE)
        gui.must("add_link", da_id=cat.id, idf="meow", func=to_int)
        assert cat.signal() == ("CONNECT", "meow")
        idf = cat.topics.pop("meow")
        gui.must("add_link", da_id=cat.id, odf="meow", func=None)
        assert cat.signal() == ("CONNECT", "meow")
        gui.must("set_join", prev=None, new=square)
        of_cat.publish(idf, "12", 1)
        assert cat.value() == ("meow", [144])
        of_cat.publish(idf, "[7]", 1)
        assert cat.value() == ("meow", [49])


@confined
def test_graphs_and_connections_return_by_themselves(mqtt_broker, store_url, tmp_path):
    config = network(mqtt_broker, Store=store_url)
    with clients(mqtt_broker, "a", "b", "gui") as (first, second, third):
        with gateway(config, tmp_path) as (_, component):
            sensor = Device(first, component, [("t", [None])])
            lamp = Device(second, component, (), [("light", [None])])
            sensor.register()
            lamp.register()
            gui = Program(third)
            gui.must("attach")
            (double,) = gui.functions("def run(x): return 2 * x")
            gui.must("add_link", da_id=sensor.id, idf="t", func=double)
            gui.must("add_link", da_id=lamp.id, odf="light")
            assert sensor.signal() == ("CONNECT", "t")
            assert lamp.signal() == ("CONNECT", "light")
            known = component._register
            eventually(lambda: not any(it.unanswered for it in known.known.devices.values()))
        with gateway(config, tmp_path):  # both stayed online, and know their topics
            sensor.push("t", 21)
            assert lamp.value() == ("light", [42])
            lamp.say("offline")
            lamp.topics.clear()
            lamp.say("online")
            assert lamp.signal() == ("CONNECT", "light")
            gui.must("rm_link", da_id=lamp.id, odf="light")
            assert lamp.signal() == ("DISCONNECT", "light")


def test_a_phone_drives_a_fan_and_a_sensor_of_the_bus_drives_a_lamp(mosquitto, tmp_path):
    config = network(mosquitto, FAN, {"Codifier": "t1", "Type": "Python"})
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "phone", "lamp", "gui") as (of_phone, of_lamp, of_gui),
        Peer(config) as peer,
    ):
        phone = Device(of_phone, component, [("slider", ["%"])])
        lamp = Device(of_lamp, component, (), [("light", [None])])
        phone.register()
        lamp.register()
        gui = Program(of_gui)
        gui.send("/device", {"op": "attach"})
        listed = gui.told.get(timeout=30)
        (bus,) = [it for it in listed["da_list"].values() if it["name"] == "jph"]
        assert ["F1", [None]] in bus["odf_list"]
        gui.must("attach", "fan")
        gui.must("add_link", "fan", da_id=phone.id, idf="slider")
        gui.must("add_link", "fan", da_id=bus["id"], odf="F1")
        gui.must("attach", "lamp")
        gui.must("add_link", "lamp", da_id=bus["id"], idf="t1")
        gui.must("add_link", "lamp", da_id=lamp.id, odf="light")
        assert phone.signal() == ("CONNECT", "slider")
        assert lamp.signal() == ("CONNECT", "light")
        phone.push("slider", [40])
        heard = peer.hear("control", lambda it: it["flag"] == "A")
        assert (heard["to"], heard["number"]) == ("F1", 40.0)
        phone.push("slider", [400])
        eventually(lambda: "F1: 400 is not within its limits" in component.state()["commands"])
        peer.publish("t1", "f", struct.pack("<f", 21.5), 1)
        assert lamp.value() == ("light", [21.5])


def test_features_are_on_the_bus_without_a_graph(mosquitto, tmp_path):
    entries = [
        {"Codifier": "p1", "Device": "Phone", "Attribute": "acc", "Index": 2},
        {"Codifier": "p2", "Device": "Phone", "Attribute": "lamp"},
    ]
    config = network(mosquitto, *PROXIES, Proxy=entries)
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "phone") as (client,),
        Peer(config) as peer,
    ):
        odf = [("lamp", [None])]
        phone = Device(client, component, [("acc", ["g", "g", "g"])], odf, name="Phone")
        phone.register()
        assert {phone.signal(), phone.signal()} == {("CONNECT", "acc"), ("CONNECT", "lamp")}
        phone.push("acc", [0.1, 0.2, 0.3])
        heard = peer.hear("data", lambda it: it["source"] == "p1" and it["flag"] == "j")
        assert json.loads(heard["value"]) == {"value": 0.3}
        peer.command("A", "p2", 1.0)
        assert phone.value() == ("lamp", [1])
        # Another one of this name comes and leaves.
        other = str(uuid4())
        assert ask(component, "PUT", f"/{other}", phone.body)[0] == 200
        rev = ask(component, "GET", f"/{other}")[1]["rev"]
        assert ask(component, "DELETE", f"/{other}", {"rev": rev})[0] == 200
        peer.command("A", "p2", 1.0)
        assert phone.value() == ("lamp", [1])
        heard = peer.hear("data", lambda it: it["source"] == "p2" and it["flag"] != "n")
        assert heard["value"] == 1


@confined
def test_a_function_that_loops_is_switched_off_and_the_others_go_on(mosquitto, tmp_path):
    config = network(mosquitto)
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "device", "gui") as (client, of_gui),
    ):
        device = Device(client, component, [("a", [None]), ("b", [None])], [("good", [None])])
        device.register()
        gui = Program(of_gui)
        for graph, idf in (("bad", "a"), ("good", "b")):
            gui.must("attach", graph)
            gui.must("add_link", graph, da_id=device.id, idf=idf)
        gui.must("add_link", "good", da_id=device.id, odf="good")
        gui.must("start_monitor", "bad")
        assert {device.signal() for _ in range(3)} == {
            ("CONNECT", "a"),
            ("CONNECT", "b"),
            ("CONNECT", "good"),
        }
        (loop,) = gui.functions("def run(x):\n    while x: pass\n    return x", graph="bad")
        (half,) = gui.functions("def run(x): return x / 2", graph="good")
        gui.must("set_join", "bad", prev=None, new=loop)
        gui.must("set_join", "good", prev=None, new=half)
        for value in range(1, 6):
            device.push("a", value)
            device.push("b", value)
            assert device.value() == ("good", [value / 2])
        texts = []
        while not texts or "switched off" not in texts[-1]:
            message = gui.monitored.get(timeout=60)
            if message["op"] == "esm_error":
                texts.append(message["data"]["msg"])
        assert "not done within 1 s" in texts[0]
        token = (tmp_path / "gateways" / "token").read_text().strip()
        _, found = ask(component, "GET", "/jph/graphs", token=token)
        (bad,) = [it for it in found["graphs"] if it["name"] == "bad"]
        assert loop in bad["off"]
        path = f"/jph/graphs/gui/bad/functions/{loop}/resume"
        assert ask(component, "POST", path, {}, token=token)[0] == 200
        assert ask(component, "POST", path, {}, token=token)[0] == 409


def test_nothing_is_confined_so_nothing_runs(mosquitto, tmp_path, monkeypatch):
    monkeypatch.setattr(confinement, "why_not", lambda: "an old kernel")
    config = network(mosquitto)
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "device", "gui") as (client, of_gui),
    ):
        device = Device(client, component, [("a", [None])], [("b", [None])])
        device.register()
        gui = Program(of_gui)
        gui.must("attach")
        (same,) = gui.functions("def run(x): return x")
        gui.must("add_link", da_id=device.id, idf="a", func=same)
        gui.must("add_link", da_id=device.id, odf="b")
        assert {device.signal(), device.signal()} == {("CONNECT", "a"), ("CONNECT", "b")}
        device.push("a", 1)
        message = gui.monitored.get(timeout=30)
        assert "limits-only" in message["data"]["msg"]
        assert "an old kernel" in component.state()["functions"]
        gui.must("set_df_func", da_id=device.id, idf="a", prev=same, new=None)
        device.push("a", 2)
        assert device.value() == ("b", [2])


def test_a_signal_that_a_device_did_not_hear_comes_again(mosquitto, tmp_path):
    config = network(mosquitto)
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "device", "gui") as (client, of_gui),
    ):
        device = Device(client, component, [("a", [None])])
        _, answer = ask(component, "PUT", f"/{device.id}", device.body)
        online = json.dumps({"state": "online", "rev": answer["rev"]})
        client.publish(answer["ctrl_chans"][0], online, 2, retain=True).wait_for_publish(30)
        gui = Program(of_gui)
        gui.must("attach")
        gui.must("add_link", da_id=device.id, idf="a")
        register = component._register
        eventually(lambda: register.known.devices[device.id].unanswered)
        eventually(lambda: not component.state()["waiting_for_the_broker"])
        # Only now it listens, as a device whose subscription came late.
        device.up, device.down = answer["ctrl_chans"]
        client.message_callback_add(device.down, device._on_signal)
        client.subscribe(device.down, 1)
        assert device.signal() == ("CONNECT", "a")
        eventually(lambda: not register.known.devices[device.id].unanswered)


def test_what_is_no_json_of_a_device_or_program_is_counted_and_the_rest_goes_on(
    mosquitto, tmp_path
):
    config = network(mosquitto)
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "device", "gui") as (client, of_gui),
    ):
        device = Device(client, component, [("a", [None])], [("b", [None])])
        device.register()
        gui = Program(of_gui)
        gui.must("attach")
        gui.must("add_link", da_id=device.id, idf="a")
        gui.must("add_link", da_id=device.id, odf="b")
        assert {device.signal(), device.signal()} == {("CONNECT", "a"), ("CONNECT", "b")}
        bad = [b"[NaN]", b"[1e999]", b'["\\ud800"]', b"\xff", b"", b"[" * 20_000]
        for payload in bad:
            client.publish(device.topics["a"], payload, 1)
            client.publish(device.up, payload, 1)
        client.publish(device.topics["a"], b"[5]", 1)
        assert device.value() == ("b", [5])
        eventually(
            lambda: component._counts()["refused"] == 2 * len(bad) - 1
        )  # "" on ctrl/i is none
        status, answer = ask(component, "PUT", f"/{device.id}", {"profile": {"x": float("nan")}})
        assert (status, answer["reason"]) == (400, "a number that is not finite")


def test_a_broker_that_reads_nothing_costs_no_memory_and_values_flow_again(
    mosquitto, tmp_path, monkeypatch
):
    monkeypatch.setattr(channels, "MOST_LEAVING", 1 << 16)
    config = network(mosquitto)
    with gateway(config, tmp_path) as (_, component), clients(mosquitto, "device") as (client,):
        device = Device(client, component, [("a", [None])], [("b", [None])])
        device.register()
        with mosquitto.frozen():
            for _ in range(10_000):  # beyond what TCP takes, too
                component._channels.publish("x/ctrl/none", "x" * 1000)
            counts = component._channels.counts
            assert counts["not_published"] > 100
            assert component._channels._leaving_bytes < 2 * channels.MOST_LEAVING
        eventually(lambda: component._channels._leaving_bytes == 0)
        before = counts["published"]
        component._channels.publish("x/ctrl/none", "y")
        assert counts["published"] == before + 1
        eventually(lambda: component._channels._leaving_bytes == 0)


@confined
def test_a_loop_through_a_proxy_of_the_gateway_is_bounded(mosquitto, tmp_path):
    entry = {"Codifier": "p2", "Device": "Lamp", "Attribute": "light"}
    config = network(mosquitto, PROXIES[1], Proxy=[entry])
    with (
        gateway(config, tmp_path) as (_, component),
        clients(mosquitto, "lamp", "gui") as (client, of_gui),
        Peer(config) as peer,
    ):
        lamp = Device(client, component, (), [("light", [None])], name="Lamp")
        lamp.register()
        assert lamp.signal() == ("CONNECT", "light")
        gui = Program(of_gui)
        gui.must("attach")
        (more,) = gui.functions("def run(x): return x + 1")
        gui.must("add_link", da_id=component._bus.identifier, idf="p2")
        gui.must("add_link", da_id=lamp.id, odf="light")
        gui.must("set_join", prev=None, new=more)
        began_s = time.monotonic()
        peer.command("A", "p2", 0.0)
        values = [lamp.value()[1][0] for _ in range(10)]
        assert values == list(range(10))
        assert time.monotonic() - began_s > 8 * paced.SHORTEST_S


def test_many_refused_commands_are_told_in_one_datagram(mosquitto, tmp_path):
    fans = [{**FAN, "Codifier": f"F{number}"} for number in range(10)]
    config = network(mosquitto, *fans)
    with gateway(config, tmp_path) as (_, component), Peer(config) as peer:
        for fan in fans:
            component._bus.output(fan["Codifier"], [400])

        def told(message):
            return message["source"] == "IT" and message["flag"] == "j" and "F0" in message["value"]

        own = json.loads(peer.hear("data", told)["value"])
        assert own["commands"].startswith("F0: 400 is not within its limits")
