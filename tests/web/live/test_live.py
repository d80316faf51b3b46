import socket
import threading
import time

import pytest

from tests.helpers import eventually
from tests.web.bus import SENDER, component, control, reading
from tests.web.client import Client, LiveReader
from web import site
from web.live import readers

pytestmark = pytest.mark.parametrize("server", ["waitress", "gevent"])


def test_a_first_reader_gets_a_snapshot_and_then_what_changes(web):
    web.on_batch([reading("A1", 1.0, timestamp_ms=1)])
    with LiveReader(web.bound_port) as reader:
        assert reader.status == 200
        assert reader.headers["Content-Type"].startswith("text/event-stream")
        kind, frame = reader.event()
        assert kind == "snapshot"
        assert frame["components"]["A1"]["points"] == [[1, 1.0]]
        web.on_batch([reading("A1", 2.0, timestamp_ms=2)])
        kind, frame = reader.event()
        assert kind == "change"
        assert frame["components"]["A1"]["points"] == [[2, 2.0]]


def test_a_reader_that_comes_back_gets_everything_in_between(web):
    with LiveReader(web.bound_port) as reader:
        reader.event()
        last = reader.id
    for number in range(1, 4):
        web.on_batch([reading("A1", float(number), timestamp_ms=number, sequence=number)])
    web.on_control(control("I", "A2"), SENDER)
    with LiveReader(web.bound_port, last=last) as reader:
        kind, frame = reader.event()
    assert kind == "change"
    assert set(frame["components"]) == {"A1", "A2"}
    assert frame["components"]["A1"]["points"] == [[1, 1.0], [2, 2.0], [3, 3.0]]


def test_the_last_id_may_come_in_the_address_where_a_header_cannot_be_set(web):
    with LiveReader(web.bound_port) as reader:
        reader.event()
        last = reader.id
    web.on_batch([reading("A1", 1.0, timestamp_ms=1)])
    with LiveReader(web.bound_port, f"?last={last}") as reader:
        assert reader.event()[0] == "change"


def test_a_reader_from_another_life_of_the_server_gets_a_snapshot(web):
    with LiveReader(web.bound_port, last="deadbeef-7") as reader:
        assert reader.event()[0] == "snapshot"


def test_a_fast_bus_gives_a_reader_at_most_five_events_a_second(web):
    with LiveReader(web.bound_port) as reader:
        reader.event()
        until_s = time.monotonic() + 1.0
        points = events = sent = 0
        while time.monotonic() < until_s:
            web.on_batch([reading("A1", 1.0, timestamp_ms=sent, sequence=sent)])
            sent += 1
            time.sleep(0.02)
        while points < sent:
            events += 1
            points += len(reader.event()[1]["components"]["A1"]["points"])
    assert events <= 7


def test_a_quiet_stream_says_that_it_lives(web, monkeypatch):
    monkeypatch.setattr(readers, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(readers, "LOOK_S", 0.1)
    with LiveReader(web.bound_port, "?codifier=A1") as reader:
        reader.event()
        block = reader.lines()
    assert block == [": heartbeat", "event: heartbeat", "data: {}"]


def test_one_component_alone_can_be_followed(web):
    with LiveReader(web.bound_port, "?codifier=A2") as reader:
        assert set(reader.event()[1]["components"]) == {"A2"}
        web.on_batch([reading("A1", 1.0)])
        web.on_batch([reading("A2", 2.0)])
        assert set(reader.event()[1]["components"]) == {"A2"}


def test_an_unknown_component_cannot_be_followed(client):
    answer = client.get("/live?codifier=zz")
    assert answer.status == 404
    assert "error" in answer.json


def test_readers_beyond_the_bound_are_sent_away_for_a_while(make_web, monkeypatch):
    monkeypatch.setattr(site, "MOST_READERS", 2)
    web = make_web()
    with LiveReader(web.bound_port) as one, LiveReader(web.bound_port) as two:
        one.event(), two.event()
        answer = Client(web.bound_port).get("/live")
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    eventually(lambda: web._site.readers.count == 0)
    with LiveReader(web.bound_port) as reader:
        assert reader.event()[0] == "snapshot"


def test_one_address_cannot_take_all_places(make_web, monkeypatch):
    monkeypatch.setattr(site, "MOST_READERS_OF_ADDRESS", 1)
    web = make_web()
    with LiveReader(web.bound_port, source="127.0.0.2") as greedy:
        greedy.event()
        with LiveReader(web.bound_port, source="127.0.0.2") as second:
            assert second.status == 429
            assert int(second.headers["Retry-After"]) > 0
        with LiveReader(web.bound_port, source="127.0.0.3") as other:
            assert other.event()[0] == "snapshot"


def test_a_reader_takes_no_thread(web):
    with LiveReader(web.bound_port) as first:
        first.event()
        before = threading.active_count()
        others = [LiveReader(web.bound_port) for _ in range(40)]
        for other in others:
            assert other.event()[0] == "snapshot"
        assert threading.active_count() == before
        for other in others:
            other.close()


def test_who_asks_for_the_head_alone_joins_nothing(web):
    answer = Client(web.bound_port).ask("HEAD", "/live")
    assert answer.status == 200
    assert web._site.readers.count == 0


def test_a_browser_gets_the_stream_compressed(web):
    with (
        LiveReader(web.bound_port, packed=True) as packed,
        LiveReader(web.bound_port) as plain,
    ):
        assert packed.headers["Content-Encoding"] == "gzip"
        assert plain.headers["Content-Encoding"] is None
        for number in range(5):
            frames = [packed.event(), plain.event()]
            assert frames[0][0] == frames[1][0] == ("change" if number else "snapshot")
            points = [frame["components"]["A1"]["points"] for _, frame in frames]
            assert points[0] == points[1] == ([[number, number + 0.5]] if number else [])
            web.on_batch([reading("A1", number + 1.5, timestamp_ms=number + 1, sequence=number)])


def test_who_joins_late_gets_the_same_bytes_from_then_on(web):
    with LiveReader(web.bound_port, packed=True) as early:
        early.event()
        web.on_batch([reading("A1", 1.0, timestamp_ms=1)])
        early.event()
        with LiveReader(web.bound_port, packed=True) as late:
            assert late.event()[0] == "snapshot"
            assert late.id == early.id
            sizes = early.received, late.received
            web.on_batch([reading("A1", 2.0, timestamp_ms=2, sequence=2)])
            assert early.event() == late.event()
            assert early.received - sizes[0] == late.received - sizes[1]


def test_a_dashboard_gets_what_its_cards_show_and_then_what_changes(web):
    web.on_batch(
        [reading("A1", n / 8, timestamp_ms=1000 * n, sequence=n) for n in range(1, 4)]
        + [reading("A2", 5_000_000_000), reading("A3", "hot")]
    )
    with LiveReader(web.bound_port, "?cards=1") as reader:
        kind, frame = reader.event()
        assert kind == "snapshot"
        assert set(frame) == {"now", "layout", "summary", "faults", "strangers", "troubles"} | {
            "components"
        }
        card = frame["components"]["A1"]
        assert card.pop("Curve")["Times"] == [4, 4]
        assert 0 <= card.pop("Age") < 60_000, "it counts from when the value was heard"
        assert card == {
            "Text": "0.375",
            "Unit": "",
            "State": "active",
            "Reason": "",
            "Halted": False,
            "Lost": 0,
        }
        assert frame["components"]["A2"]["Unit"] == "GB"
        assert "points" not in frame["components"]["A3"], "a text has no curve"
        web.on_batch([reading("A1", 0.5, timestamp_ms=4000, sequence=4)])
        kind, frame = reader.event()
        assert kind == "change"
        assert set(frame) == {"now", "components"}
        ((age, value),) = frame["components"]["A1"]["points"]
        assert (frame["now"] - age, value) == (4000, 0.5)
        assert 0 <= frame["components"]["A1"].pop("Age", 0) < 60_000
        assert frame["components"] == {"A1": {"Text": "0.500", "points": [[age, value]]}}
        web.on_control(control("I", "A1", is_active=False), SENDER)
        _, frame = reader.event()
        assert frame["components"]["A1"] == {"State": "halted", "Halted": True}
        assert frame["summary"]["halted"] == 1


def test_forty_readers_do_not_keep_the_pages_from_being_served(web):
    readers = [LiveReader(web.bound_port) for _ in range(40)]
    try:
        for reader in readers:
            assert reader.event()[0] == "snapshot"
        assert Client(web.bound_port).get("/healthz").json["pages_open"] == 40
    finally:
        for reader in readers:
            reader.close()
    eventually(lambda: web._site.readers.count == 0)


@pytest.mark.parametrize("leave_s", [0.0, 0.5])
def test_a_reader_who_leaves_gives_its_place_back(web, leave_s):
    reader = LiveReader(web.bound_port)
    reader.event()
    assert web._site.readers.count == 1
    time.sleep(leave_s)
    reader.close()
    eventually(lambda: web._site.readers.count == 0)


def test_a_reader_that_takes_nothing_is_dropped_and_others_do_not_notice(make_web):
    web = make_web(stalled_reader_s=3600.0)
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", web.bound_port))
    stalled.sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    with stalled, LiveReader(web.bound_port, source="127.0.0.2") as good:
        good.event()
        eventually(lambda: web._site.readers.count == 2)
        (taking_nothing,) = eventually(
            lambda: [it for it in list(web._site.readers._sockets) if it.address == "127.0.0.1"]
        )
        text = "x" * 1400
        sequence = 0

        def goes_on():
            nonlocal sequence
            readings = []
            for _ in range(200):
                sequence += 1
                readings.append(reading("A3", text, timestamp_ms=sequence, sequence=sequence))
            web.on_batch(readings)
            good.event()

        def is_behind():
            goes_on()
            return taking_nothing.unsent

        eventually(is_behind, what="one of them is behind")
        for _ in range(5):
            goes_on()
        assert web._site.readers.count == 2
        web._site.readers._stalled_s = 0.5

        def is_alone():
            goes_on()
            return web._site.readers.count == 1

        eventually(is_alone, what="the stalled reader is dropped")


def test_closing_waits_for_no_reader(make_web):
    web = make_web()
    stalled = socket.create_connection(("127.0.0.1", web.bound_port))
    stalled.sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    with stalled, LiveReader(web.bound_port) as reader:
        reader.event()
        eventually(lambda: web._site.readers.count == 2)
        began_s = time.monotonic()
        web.close()
        assert time.monotonic() - began_s < 10  # nobody waits for the stalled one, which has 20 s
        with pytest.raises(EOFError):
            while True:
                reader.event()


def test_a_program_chooses_components_by_codifier_area_label_and_type(make_web):
    web = make_web(
        component("A1", area="Greenhouse/North", labels=("wet",)),
        component("A2", area="Greenhouse"),
        component("A3", area="Greenhouses", labels=("wet", "cold")),
        component("A4", type="Fan"),
    )

    def told(query):
        with LiveReader(web.bound_port, query) as reader:
            assert reader.status == 200
            return set(reader.event()[1]["components"])

    assert told("?codifier=A1&codifier=A3&codifier=zz") == {"A1", "A3"}
    assert told("?area=Greenhouse") == {"A1", "A2"}
    assert told("?label=wet") == {"A1", "A3"}
    assert told("?label=wet&area=Greenhouse") == {"A1"}
    assert told("?type=Fan&cards=1") == {"A4"}
    many = "&".join(f"label={n}" for n in range(201))
    assert Client(web.bound_port).get(f"/live?{many}").status == 400


def test_what_is_not_chosen_is_not_told_of(web):
    with LiveReader(web.bound_port, "?codifier=A1&codifier=A2") as reader:
        reader.event()
        web.on_batch([reading("A3", "warm")])
        web.on_batch([reading("A2", 3)])
        kind, frame = reader.event()
        assert (kind, set(frame["components"])) == ("change", {"A2"})


def test_the_stream_ends_of_who_signed_out_or_lost_a_token(make_web, monkeypatch):
    from web.app import Application
    from web.live import readers
    from web.people import tokens
    from web.people.access import Role

    monkeypatch.setattr(readers, "ASK_S", 0.1)
    web = make_web(anonymous_read=False)
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())
    with Application(web.home).app_context():
        token = tokens.make("robot", Role.VIEWER, "test")
        (number,) = [found.number for found in tokens.all_tokens()]
    cookies = "; ".join(f"{name}={value}" for name, value in owner.cookies.items())
    with (
        LiveReader(web.bound_port, headers={"Cookie": cookies}) as person,
        LiveReader(web.bound_port, headers={"Authorization": f"Bearer {token}"}) as program,
    ):
        assert person.event()[0] == program.event()[0] == "snapshot"
        eventually(lambda: web._site.readers.count == 2)
        owner.post("/sign-out", csrf=owner.token("/"))
        eventually(lambda: web._site.readers.count == 1)
        web.on_batch([reading("A1", 2.5)])
        while "A1" not in program.event()[1].get("components", {}):
            pass
        with Application(web.home).app_context():
            tokens.remove(number)
        eventually(lambda: web._site.readers.count == 0)
        assert person.status == program.status == 200


def test_the_stream_of_a_stranger_who_may_read_goes_on(web, monkeypatch):
    from web.live import readers

    monkeypatch.setattr(readers, "ASK_S", 0.1)
    with LiveReader(web.bound_port) as stranger:
        for number in range(3):
            web.on_batch([reading("A1", number + 0.5, sequence=number + 1)])
            stranger.event()
        assert web._site.readers.count == 1
