"""The pages begin with what Redis knows from before, and say when last states are not stored."""

import json
import re
import time

import pytest

from jph.bus.wire import Reading
from jph.clock import time_now_ms
from tests.helpers import eventually, free_tcp_port, new_bus
from tests.jph.stores.kept import KeptStates
from tests.servers import running_redis
from tests.tools.program import start
from tests.web.bus import component, reading
from tests.web.client import Client


def network(url: str, **settings: object) -> list:
    return [
        component("A1", name="Load", data_type="double"),
        component("A2", name="Memory used", data_type="integer"),
        component(
            "S1",
            name="States",
            type="StateCache",
            sensor_interval_s=None,
            settings={"URL": url, **settings},
        ),
        component("W1", name="Pages", type="Web", sensor_interval_s=None),
    ]


def remember(server, readings: list[Reading]) -> None:
    store = KeptStates(server.url)
    store.on_readings(readings, {})
    store.close()


def test_the_first_page_has_what_was_known_before(make_web, redis_server):
    remember(redis_server, [reading("A1", 7.25, timestamp_ms=time_now_ms() - 60_000)])
    client = Client(make_web(*network(redis_server.url)).bound_port)
    assert client.get("/sensor/A1").json[0]["Value"] == 7.25
    assert "7.25" in client.get("/").text


def test_what_is_heard_is_newer_than_what_was_known(make_web, redis_server):
    remember(redis_server, [reading("A1", 7.25), reading("A2", 3)])
    redis_server.freeze()
    web = make_web(*network(redis_server.url))
    web.on_batch([reading("A1", 8.0)])
    redis_server.thaw()
    client = Client(web.bound_port)
    eventually(lambda: client.get("/sensor/A2").json[0]["Value"] == 3)
    assert client.get("/sensor/A1").json[0]["Value"] == 8.0


def test_a_redis_that_is_away_delays_no_page_and_is_asked_until_it_answers(make_web, redis_server):
    remember(redis_server, [reading("A1", 7.25)])
    redis_server.freeze()
    began_s = time.monotonic()
    web = make_web(*network(redis_server.url))
    assert time.monotonic() - began_s < 2  # which a Redis has for its answer
    client = Client(web.bound_port)
    assert client.get("/sensor/A1").json[0]["Value"] is None
    time.sleep(2.5)  # so that the first try has failed
    redis_server.thaw()
    eventually(lambda: client.get("/sensor/A1").json[0]["Value"] == 7.25)


def test_the_password_goes_to_the_server_that_it_is_for(make_web, redis_server, tmp_path):
    file = tmp_path / "password"
    file.write_text("secret")
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all")
    url = redis_server.url.replace("//", "//reader@")
    remember(redis_server, [reading("A1", 7.25)])
    client = Client(make_web(*network(url, PasswordFile=str(file))).bound_port)
    eventually(lambda: client.get("/sensor/A1").json[0]["Value"] == 7.25)


def test_a_redis_that_goes_away_is_on_the_page_within_5_s(tmp_path):
    port = free_tcp_port()
    with running_redis() as server, running_redis() as other:
        entries = [
            # The older name, as existing networks have it; its interval is longer than this test.
            {
                "Codifier": "S1",
                "Type": "jphRedis",
                "SensorInterval": 60,
                "Sensor": {"URL": server.url},
            },
            {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": port, "State": other.url}},
        ]
        config = tmp_path / "config.json"
        config.write_text(json.dumps(new_bus().document(*entries)))
        process = start(tmp_path, "up", "-u", str(config))
        client = Client(port)

        def fault() -> object:
            try:
                return client.get("/healthz").json["state_fault"]
            except OSError:
                return "does not answer yet"

        try:
            with server.client() as redis:
                eventually(lambda: redis.hget("S1", "ITimestamp"), 20)
                eventually(lambda: fault() is None, 20)
                server.kill()
                eventually(lambda: f"127.0.0.1:{server.port}" in str(fault()), 5)
                assert "Last states are not being stored" in client.get("/").text
                server.start()
                eventually(lambda: redis.hget("S1", "ITimestamp"), 5)
                eventually(lambda: fault() is None, 5)
        finally:
            process.terminate()
            process.wait(30)


def test_a_fault_of_the_state_cache_is_an_alert_of_its_own(make_web):
    web = make_web(*network("memory:"))
    client = Client(web.bound_port)
    web.on_batch([reading("S1", {"value": 9.0, "fault": "no answer"})])
    assert "<strong>Last states are not being stored.</strong> no answer" in client.get("/").text
    assert client.get("/healthz").json["state_fault"] == "no answer"
    assert client.get("/healthz").json["history_fault"] is None
    web.on_batch([reading("S1", 12.0, sequence=2)])
    assert "Last states are not being stored" not in client.get("/").text


@pytest.mark.slow
def test_after_a_restart_without_redis_the_pages_know_what_was(tmp_path):
    file = tmp_path / "value"
    file.write_text("7.25\n")
    port = free_tcp_port()
    document = new_bus().document(
        {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 1, "Sensor": {"Pipe": str(file)}},
        {"Codifier": "A2", "Type": "External", "SensorInterval": 1},
        {"Codifier": "SC", "Type": "StateCache"},
        {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port}},
    )
    (tmp_path / "net.json").write_text(json.dumps(document))
    client = Client(port)

    def run(until):
        up = start(tmp_path, "up", "-u", "net.json")
        try:
            eventually(lambda: "Sign in once" in (tmp_path / "out").read_text(), 30)
            return eventually(until, 30)
        finally:
            up.terminate()
            up.wait(30)

    heard_ms = run(lambda: client.get("/sensor/A1").json[0]["DTimestamp"])
    file.unlink()
    again = run(lambda: client.get("/sensor/A1").json[0])
    assert again["Value"] == 7.25
    assert again["DTimestamp"] >= heard_ms
    cards = r'class="card" data-codifier="(..)"[^>]* data-state="(\w+)"'
    states = dict(run(lambda: re.findall(cards, client.get("/").text)))
    assert states["A1"] != states["A2"] == "unseen"
