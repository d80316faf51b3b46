"""The Esp32 component between real brokers, stores and bus, with boards like their firmware."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from sqlalchemy import text

from gateways.esp32 import tables
from gateways.esp32.examples.boards import mac_of
from gateways.esp32.ingest import Ingest
from gateways.esp32.protocol import Join
from gateways.esp32.service import GoneError
from gateways.http import home_token
from gateways.message import Message
from gateways.schema import last_refusals, refusal_counts
from jph.config.model import build as build_config
from tests.gateways.esp32.conftest import PAPER, REAL, V5, V311, gateway, network
from tests.helpers import LOOPBACK, eventually
from tests.network import Peer

OLD = "1743946777.603371"


def own_data(peer, wanted):
    return json.loads(
        peer.hear(
            "data",
            lambda m: m["source"] == "EG" and m["flag"] == "j" and wanted(json.loads(m["value"])),
            60,
        )["value"]
    )


def of_proxy(codifier, value):
    return lambda m: (m["source"], m["value"]) == (codifier, value) and m["flag"] in "if"


def only(component):
    (board,) = component.service.boards()
    return board


def values(store):
    with store.reading() as connection:
        found = tables.last_values(connection, "EG", mac_of(1))
    return {kind: [value for _, value in some] for kind, some in found.items()}


def refused(store):
    with store.reading() as connection:
        return refusal_counts(connection, "EG")


@pytest.mark.parametrize("qos", [PAPER, REAL], ids=["on paper", "in reality"])
def test_a_board_joins_reports_is_switched_and_leaves(
    mqtt_broker, store, store_url, tmp_path, boards, qos
):
    joins_and_leaves(mqtt_broker, store, store_url, tmp_path, boards, {"protocol": V311, **qos})


@pytest.mark.parametrize("qos", [PAPER, REAL], ids=["on paper", "in reality"])
def test_a_board_may_speak_mqtt_5(mosquitto, store, store_url, tmp_path, boards, qos):
    joins_and_leaves(mosquitto, store, store_url, tmp_path, boards, {"protocol": V5, **qos})


def joins_and_leaves(broker, store, store_url, tmp_path, boards, habits):
    config = network(broker.url, store_url)
    with gateway(config, tmp_path) as (_, component), Peer(config) as peer:
        some = boards(broker.port)
        board = some.started(**habits)
        eventually(lambda: only(component).connected and only(component).led is False)
        assert (board.name, len(board.session) <= 17) == ("capteur01", True)
        for value in (0, 58, 100):
            some.do(board, "report", "photoresistor", value)
            peer.hear("data", of_proxy("e0", value), 60)
        some.do(board, "report", "button", 1)
        peer.hear("data", of_proxy("e1", 1), 60)
        shown = component.service.switch("capteur01", board.session, True)
        assert (shown.led, board.led) == (True, True)
        peer.hear("data", of_proxy("e2", 1), 60)
        some.end(board)
        eventually(lambda: not only(component).connected, 60, "the will has come")
        with pytest.raises(GoneError):
            component.service.switch("capteur01", board.session, False)
        # nats-server sends again what a busy machine has not acknowledged within 2 s.
        found = {kind: list(dict.fromkeys(some)) for kind, some in values(store).items()}
        assert found == {"photoresistor": [0, 58, 100], "button": [1], "led": [0, 1]}
        light = dict.fromkeys(value for _, value in only(component).light)
        assert list(light) == [0, 58, 100]
        assert not refused(store)


def test_answers_have_qos_2_and_commands_1(mqtt_broker, tmp_path, boards):
    config = network(mqtt_broker.url, "sqlite:///gateways.sqlite")
    heard = []
    with gateway(config, tmp_path) as (_, component), mqtt_broker.client() as client:
        client.on_message = lambda _, __, message: heard.append(
            (message.topic, message.qos, message.retain)
        )
        ready = []
        client.on_subscribe = lambda *_: ready.append(1)
        client.subscribe([("state/nameAssign", 2), ("led/command", 2)])
        eventually(lambda: ready)
        board = boards(mqtt_broker.port).started()
        eventually(lambda: only(component).connected)
        component.service.switch(board.name, board.session, True)
        eventually(lambda: len(set(heard)) == 2, 60)
    assert set(heard) == {("state/nameAssign", 2, False), ("led/command", 1, False)}


def test_a_board_without_power_has_left_when_its_keep_alive_is_over(
    mqtt_broker, tmp_path, boards, monkeypatch
):
    monkeypatch.setattr("gateways.esp32.examples.boards.KEEPALIVE_S", 2)
    monkeypatch.setattr("gateways.esp32.boards.SILENT_MS", 3_600_000)
    config = network(mqtt_broker.url, "sqlite:///gateways.sqlite")
    with gateway(config, tmp_path) as (_, component):
        some = boards(mqtt_broker.port)
        board = some.started()
        eventually(lambda: only(component).connected)
        some.switch_off(board)  # its connection is open, as its broker knows
        eventually(lambda: not only(component).connected, 60, "the will has come")
        assert time.time() - only(component).since_ms / 1000 < 50  # not by a minute of silence
        board.close()


def test_a_value_on_the_bus_switches_the_led(mosquitto, store_url, tmp_path, boards):
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path), Peer(config) as peer:
        some = boards(mosquitto.port)
        board, other = some.started(), some.started(2)
        peer.hear("data", of_proxy("e2", 0), 60)
        peer.command("A", "e2", 1)
        peer.hear("data", of_proxy("e2", 1), 60)
        assert (board.led, other.led) == (True, False)
        peer.command("E", "e2", -1)
        peer.hear("data", of_proxy("e2", 0), 60)
        peer.command("A", "e2", 3)  # which an LED does not take
        peer.command("A", "e2", 1)
        peer.hear("data", of_proxy("e2", 1), 60)
        assert (board.led, other.led) == (True, False)


def test_a_board_that_does_not_answer_is_told_of(mosquitto, store_url, tmp_path):
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path) as (_, component), mosquitto.client() as client:
        client.publish("state/join", mac_of(1), 1)
        eventually(lambda: component.service.boards())
        session = only(component).session
        with pytest.raises(GoneError):
            component.service.switch("capteur01", session, True)
        client.publish("state/join", f"capteur01;{session}", 1)
        eventually(lambda: only(component).connected)
        component.service.answer_s = 0.3
        with pytest.raises(TimeoutError):
            component.service.switch("capteur01", session, True)
        component.service.answer_s = 60
        ended = []

        def switch():
            try:
                component.service.switch("capteur01", session, True)
            except GoneError as error:
                ended.append(error)

        waiting = threading.Thread(target=switch)
        waiting.start()
        eventually(lambda: component.service._listeners)
        client.publish("state/join", mac_of(1), 1)
        waiting.join(60)
        assert ended


def test_sessions_outlive_a_restart_and_wills_of_meanwhile_are_seen(
    mqtt_broker, store, store_url, tmp_path, boards
):
    config = network(mqtt_broker.url, store_url)
    some = boards(mqtt_broker.port)
    with gateway(config, tmp_path) as (_, component):
        stays, goes = some.started(1), some.started(2, qos_will=1)
        component.service.rename("capteur02", "LeBron")
        some.do(stays, "report", "photoresistor", 7)
        eventually(lambda: sum(each.connected for each in component.service.boards()) == 2)
        eventually(lambda: 7 in values(store)["photoresistor"])
        before = component.service.board("capteur01")
    some.end(goes)
    some.do(stays, "report", "led", 1)
    with gateway(config, tmp_path) as (_, component):
        eventually(lambda: component.service.boards())
        eventually(lambda: not component.service.board("LeBron").connected, 60)
        eventually(lambda: component.service.board("capteur01").led, 60)
        after = component.service.board("capteur01")
        assert after.connected
        assert (after.session, after.since_ms) == (before.session, before.since_ms)
        assert after.light[: len(before.light)] == before.light
        assert component.service.switch("capteur01", stays.session, False).led is False
        back = some.started(2)
        assert back.name == "LeBron"
        assert not refused(store)


def test_a_board_whose_will_was_lost_is_silent(
    mqtt_broker, store_url, tmp_path, boards, monkeypatch
):
    monkeypatch.setattr("gateways.esp32.component.LOOK_S", 0.2)
    monkeypatch.setattr("gateways.esp32.boards.SILENT_MS", 5000)
    config = network(mqtt_broker.url, store_url)
    some = boards(mqtt_broker.port)
    with gateway(config, tmp_path) as (_, component):
        some.started(1, measures=True, interval_s=0.2)
        goes = some.started(2)
        eventually(lambda: sum(each.connected for each in component.service.boards()) == 2)
    some.end(goes)  # the broker keeps no will with QoS 0 for a gateway that is away
    with gateway(config, tmp_path) as (_, component):
        eventually(lambda: component.service.boards())
        eventually(lambda: not component.service.board("capteur02").connected, 60)
        assert component.service.board("capteur01").connected


def test_what_is_refused_is_counted_by_reason_and_stops_nothing(
    mqtt_broker, store, store_url, tmp_path, boards
):
    config = network(mqtt_broker.url, store_url)
    with gateway(config, tmp_path) as (_, component), Peer(config) as peer:
        some = boards(mqtt_broker.port)
        board = some.started()
        with mqtt_broker.client() as client:

            def publish(topic, payload, **more):
                client.publish(topic, payload, 1, **more).wait_for_publish(60)

            for topic in ("state/join", "state/leave", "led/status", "photoresistor/status"):
                publish(topic, b"")
                publish(topic, b"\xff\xfe")
                publish(topic, b"x" * 201)
            publish("button/status", f"capteur01;{board.session};2")
            publish("photoresistor/status", f"capteur01;{board.session};101")
            publish("photoresistor/status", f"capteur01;{OLD};50")
            publish("state/leave", f"capteur01;{OLD}")
            publish("led/status", f"nobody;{OLD};1")
            publish("led/status", "capteur01")
            publish("state/join", "61:EC")
            # What no topic of ours is does not come at all.
            publish("led", b"1")
            publish("led/status/more", b"1")
            publish("/", b"1")
            expected = {
                **{"empty": 4, "not UTF-8": 4, "too long": 4, "value out of range": 2},
                **{"older session": 2, "unknown board": 1},
                **{"wrong number of parts": 1, "invalid MAC address": 1},
            }

            def is_as_expected():
                found = refused(store)
                if mqtt_broker.is_nats:  # sends again, on a busy machine, and numbers nothing
                    found = {reason: min(found[reason], expected[reason]) for reason in found}
                return found == expected

            eventually(is_as_expected, 60)
            if not mqtt_broker.is_nats:  # which sends such a client away
                publish("photoresistor/status", b"x" * (1 << 20))
                expected["too long"] += 1
                eventually(lambda: refused(store) == expected, 60)
        some.do(board, "report", "photoresistor", 42)
        peer.hear("data", of_proxy("e0", 42), 60)
        assert own_data(peer, lambda own: own["boards"] == 1)["refused"] >= sum(expected.values())
        assert only(component).connected
        with store.reading() as connection:
            assert {row.topic for row in last_refusals(connection, "EG")} >= {"led/status"}


@pytest.mark.parametrize("topic", [b"state/+", b"#", b"", b"state/join\0"])
def test_topics_that_no_message_can_have_reach_nobody(mqtt_broker, tmp_path, boards, topic):
    config = network(mqtt_broker.url, "sqlite:///gateways.sqlite")
    with gateway(config, tmp_path) as (_, component):
        some = boards(mqtt_broker.port)
        board = some.started()
        with socket.create_connection((LOOPBACK, mqtt_broker.port), 60) as liar:
            # MQTT 3.1.1, sections 3.1 and 3.3: a CONNECT as `zz`, and a PUBLISH with QoS 0.
            liar.sendall(b"\x10\x0e\0\4MQTT\4\2\0\5\0\2zz")
            assert liar.recv(4) == b"\x20\2\0\0"
            body = len(topic).to_bytes(2) + topic + mac_of(9).encode()
            with suppress(ConnectionError):
                liar.sendall(bytes([0x30, len(body)]) + body)
                assert liar.recv(1) == b"", "the broker sends such a client away"
        some.do(board, "report", "photoresistor", 42)
        eventually(lambda: only(component).light, 60)
        assert component.state()["boards"] == 1
        assert not component._ingest.counts["refused"]


def test_retained_rubbish_from_before_is_refused(mqtt_broker, store, store_url, tmp_path, boards):
    with mqtt_broker.client() as client:
        for payload in (mac_of(9), f"capteur01;{OLD}"):
            client.publish("state/join", payload, 1, retain=True).wait_for_publish(60)
    config = network(mqtt_broker.url, store_url)
    with gateway(config, tmp_path) as (_, component):
        eventually(lambda: refused(store).get("retained") == 1, 60)
        board = boards(mqtt_broker.port).started()
        assert board.name == "capteur01"
        assert len(component.service.boards()) == 1


def test_two_boards_with_one_mac_the_last_to_join_goes_on(
    mosquitto, store, store_url, tmp_path, boards
):
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path) as (_, component), mosquitto.client() as client:
        client.publish("state/join", mac_of(1), 1)
        eventually(lambda: component.service.boards())
        first = only(component).session
        client.publish("state/join", f"capteur01;{first}", 1)
        eventually(lambda: only(component).connected)
        second = boards(mosquitto.port).started()
        assert second.session != first
        eventually(lambda: only(component).connected)
        client.publish("photoresistor/status", f"capteur01;{first};1", 0)
        client.publish("state/leave", f"capteur01;{first}", 0)
        eventually(lambda: refused(store) == {"older session": 2}, 60)
        assert only(component).connected


def test_a_forged_leave_has_no_lasting_effect(mosquitto, store_url, tmp_path, boards):
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path) as (_, component), mosquitto.client() as client:
        some = boards(mosquitto.port)
        board = some.started(measures=True, interval_s=0.2)
        eventually(lambda: only(component).connected)
        client.publish("state/leave", f"capteur01;{board.session}", 1).wait_for_publish(60)
        eventually(lambda: not only(component).connected, 60)
        eventually(lambda: only(component).connected, 60)
        assert only(component).session == board.session


def test_storms_of_joins_and_leaves(mqtt_broker, store, store_url, tmp_path, boards):
    config = network(mqtt_broker.url, store_url)
    with gateway(config, tmp_path) as (_, component), mqtt_broker.client() as client:
        # nats-server keeps no order between topics: a leave may come before the join ahead of it.
        client.publish("state/join", mac_of(10), 1)
        eventually(component.service.boards, 60)
        for number in range(400):
            client.publish("state/join", mac_of(10 + number % 200), 1)
            last = client.publish("state/leave", f"capteur01;{OLD}", 1)
        last.wait_for_publish(60)
        eventually(lambda: len(component.service.boards()) == 200, 60)
        some = boards(mqtt_broker.port)
        board = some.started()
        assert board.name == "capteur201"
        if mqtt_broker.is_nats:  # sends again, on a busy machine, and numbers nothing
            assert refused(store).keys() == {"older session"}
        else:
            eventually(lambda: refused(store) == {"older session": 400}, 60)
        eventually(lambda: component.service.state()["connected_boards"] == 1)


def test_the_broker_and_the_store_may_go_and_come_back(
    mqtt_broker, store, store_url, tmp_path, boards
):
    config = network(mqtt_broker.url, store_url)
    with gateway(config, tmp_path) as (_, component), Peer(config) as peer:
        some = boards(mqtt_broker.port)
        board = some.started()
        eventually(lambda: only(component).connected)
        first = board.session
        mqtt_broker.kill()
        assert own_data(peer, lambda own: "fault" in own)["fault"].startswith("broker: ")
        with pytest.raises(TimeoutError, match="no connection to the broker"):
            component.service.switch("capteur01", first, True)
        mqtt_broker.start()
        own_data(peer, lambda own: "fault" not in own)
        eventually(lambda: board.is_started and board.session != first, 60, "it joined again")
        eventually(lambda: only(component).session == board.session and only(component).connected)
        some.do(board, "report", "photoresistor", 12)
        peer.hear("data", of_proxy("e0", 12), 60)


def test_our_tools_ask_with_the_token_of_the_home(mosquitto, store_url, tmp_path, boards):
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path) as (_, component):
        some = boards(mosquitto.port)
        board = some.started()
        component.service.rename("capteur01", "LeBron")
        some.do(board, "report", "photoresistor", 58)
        eventually(lambda: only(component).light and only(component).led_ms)

        def ask(path, token):
            url = f"http://127.0.0.1:{component.bound_port}/jph/{path}"
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)

        token = home_token(tmp_path)
        (device,) = ask("devices", token)
        assert (device["identifier"], device["name"]) == (mac_of(1), "LeBron")
        found = {it["attribute"]: (it["value"], it["codifier"]) for it in device["attributes"]}
        assert found == {"led": (0, "e2"), "photoresistor": (58, "e0")}
        state = ask("state", token)
        assert (state["boards"], state["connected_boards"], state["refused"]) == (1, 1, {})
        assert ask("refusals", token) == []
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask("devices", "x")


def test_while_the_store_is_away_boards_wait_and_then_all_have_one_session(
    mosquitto, tmp_path, boards
):
    import sqlite3

    url = "sqlite:///gateways.sqlite"
    config = network(mosquitto.url, url)
    with gateway(config, tmp_path) as (_, component):
        some = boards(mosquitto.port)
        some.started(1)
        with sqlite3.connect(tmp_path / "gateways.sqlite", isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            board = some.add(2)
            eventually(lambda: component._inlet.status.queued, 60)
            with mosquitto.client() as client:
                for _ in range(5):
                    client.publish("state/join", mac_of(2), 1)
            eventually(lambda: component._inlet.status.queued >= 6, 60)
            assert [each.name for each in component.service.boards()] == ["capteur01"]
            other.execute("ROLLBACK")
        other.close()
        eventually(lambda: board.is_started, 60)
        eventually(lambda: component.service.board("capteur02").connected, 60)
        assert component.service.board("capteur02").session == board.session


def test_values_go_on_under_another_list_of_proxies(mosquitto, store_url, tmp_path, boards):
    config = network(mosquitto.url, store_url, {"Codifier": "e3", "Type": "Proxy"})
    with gateway(config, tmp_path) as (node, component), Peer(config) as peer:
        some = boards(mosquitto.port)
        board = some.started(2)
        document = json.loads(json.dumps(dict(config.document)))
        document["Sensors"][0]["Sensor"]["Proxy"].append(
            {"Codifier": "e3", "Device": "capteur01", "Attribute": "photoresistor"}
        )
        changed = build_config(document, "test")
        runner = node.runners["EG"]
        assert runner.goes_on(changed.components["EG"])
        node.move(changed)
        runner.post_config(changed)
        eventually(lambda: len(component.proxy) == 4)
        some.do(board, "report", "photoresistor", 33)
        peer.hear("data", of_proxy("e3", 33), 60)
        # A button reports changes only; while its board is connected its value comes all the same.
        some.do(board, "report", "button", 1)
        for _ in range(3):
            peer.hear("data", of_proxy("e1", 1), 60)
        some.end(board)
        eventually(lambda: not only(component).connected, 60)


def test_pages_hear_what_changes(mosquitto, store_url, tmp_path, boards):
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path) as (_, component):
        service = component.service
        with service.changes() as changes:
            some = boards(mosquitto.port)
            board = some.started()
            until_s = time.monotonic() + 60
            while not (heard := changes.get(1)) or not heard.connected:
                assert time.monotonic() < until_s
            some.do(board, "report", "photoresistor", 5)
            while not (heard := changes.get(1)) or not heard.light:
                assert time.monotonic() < until_s
            service.rename("capteur01", "LeBron")
            heard = changes.get(60)
            assert (heard.mac, heard.name) == (mac_of(1), "LeBron")
            service.forget("LeBron")
            assert changes.get(60).forgotten
            assert changes.get(0) is None
        assert not service._listeners
        for what in (lambda: service.rename("LeBron", "x"), lambda: service.forget("LeBron")):
            with pytest.raises(GoneError):
                what()
        assert not service.boards()


def test_values_of_a_killed_process_are_there_when_it_starts(store, store_url, tmp_path, mosquitto):
    """As after SIGKILL: `save` is never called."""
    config = network(mosquitto.url, store_url)
    with gateway(config, tmp_path) as (_, component), mosquitto.client() as client:
        client.publish("state/join", mac_of(1), 1)
        eventually(lambda: component.service.boards())
        session = only(component).session
        client.publish("state/join", f"capteur01;{session}", 1)
        client.publish("led/status", f"capteur01;{session};1", 1)
        eventually(lambda: only(component).led)
        with store.reading() as connection:
            (kept,) = tables.boards(connection, "EG")
            count = connection.scalar(text("SELECT count(*) FROM esp32_reading"))
        assert count == 1
        shown = only(component)
        assert (kept.led, kept.led_ms, kept.connected) == (True, shown.led_ms, True)
        assert kept == shown


def test_a_value_that_comes_again_without_a_number_is_not_taken_for_an_equal_one(store):
    """As of nats-server, which numbers what it sends again anew."""
    ingest = Ingest(store, "EG")
    (board,) = (ingest.change(lambda draft: draft.join(Join(mac_of(1)), time.time_ns() // 1000)),)

    def message(topic, payload, **more):
        now_us = time.time_ns() // 1000
        return Message(topic, payload.encode(), False, True, now_us, 1, **more)

    value = f"{board.name};{board.session};50"
    for is_numbered, stored in ((False, [50, 50]), (True, [50, 50, 50])):
        for _ in range(2):
            ingest.commit([message("photoresistor/status", value, is_numbered=is_numbered)])
        assert values(store)["photoresistor"] == stored
    for _ in range(2):  # the session of a board that begins must not end by what came before
        ingest.commit([message("state/join", mac_of(1), is_numbered=False)])
    (known,) = ingest.boards()
    started = f"{known.name};{known.session}"
    ingest.commit([message("state/join", started, is_numbered=False)])
    ingest.commit([message("state/join", mac_of(1), is_numbered=False)])
    (known,) = ingest.boards()
    assert known.connected
