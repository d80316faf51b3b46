"""What a gateway of IoTtalk keeps, and what it tells devices of, on both kinds of store."""

import json
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, select

from gateways import schema
from gateways.iottalk import control, requests, tables
from gateways.iottalk.dataflow.model import digest_of
from gateways.iottalk.devices import registered
from gateways.iottalk.register import Register
from gateways.message import Message
from gateways.store import Store

IDENTIFIER = "df682f01-7c3a-49fd-8f5f-72ce0b6e68c0"
OTHER = "2d2a3794-2345-4500-8baa-493f88123087"
SOURCE = "def run(x):\n    return x  # é \0 🐈\n"
HELPER = "def half(x): return x / 2\n"
BODY = {
    "name": "BetaCat é 🐈",
    "idf_list": [["meow", ["dB"]], ["\0", [None, "m"]]],
    "odf_list": [["meow", ["dB"]]],
    "accept_protos": ["mqtt"],
    "profile": {"model": "AI", "a": [1, None, "\0"]},
}


@contextmanager
def opened(url, folder, gateway="IT"):
    """Open a store as a gateway does."""
    with closing(Store.open(url, folder, steps=tables.STEPS)) as store:
        register = Register(store, gateway, "secret", lambda device: frozenset(), lambda *_: None)
        yield register


def says(register, state, rev=None, device=IDENTIFIER, retained=False):
    """Let a device say something; return how often that was refused."""
    with register.change() as draft:
        rev = rev or draft.devices[device].rev
        said = json.dumps({"state": state, "rev": rev}).encode()
        message = Message(f"{device}/ctrl/i", said, retained, duplicate=False, received_us=0)
        control.take(draft, message)
        return len(draft.refusals)


def ask(register, op, **more):
    """Send a request on a graph; return the answer."""
    with register.change() as draft:
        return requests.asked(draft, "gui/graph/1", {"op": op, **more})


def put(register, identifier=IDENTIFIER, body=BODY):
    with register.change() as draft:
        draft.put_device(registered(identifier, body))


def signals(register):
    """Return what devices were told since the last call."""
    with register.store.writing() as connection:
        query = select(schema.outbox.c.topic, schema.outbox.c.payload)
        rows = connection.execute(query.order_by(schema.outbox.c.number)).all()
        connection.execute(delete(schema.outbox))
    told = [json.loads(row.payload) for row in rows if row.topic.endswith("/ctrl/o")]
    return [(it["command"], it.get("idf") or it["odf"]) for it in told]


@pytest.fixture
def register(store_url, tmp_path):
    """Yield a register with a device that is online, and a graph."""
    with opened(store_url, tmp_path) as it:
        put(it)
        says(it, "online")
        assert ask(it, "attach")["state"] == "ok"
        yield it


def test_all_that_is_known_is_known_after_a_restart(register, store_url, tmp_path):
    digests = [digest_of(SOURCE), digest_of(HELPER)]
    ask(register, "add_funcs", codes=[SOURCE, HELPER], digests=digests)
    used = {"func": digests[0], "depends": {"half": digests[1]}, "input_type": "variant"}
    for op, more in (
        ("add_link", {"da_id": IDENTIFIER, "idf": "\0", "tag_param_no": 2, **used}),
        ("add_link", {"da_id": IDENTIFIER, "odf": "meow"}),
        ("set_join", {"prev": None, "new": digests[0]}),
        ("start_monitor", {}),
    ):
        assert ask(register, op, **more)["state"] == "ok"
    with register.change() as draft:
        requests.asked(draft, "gui/device", {"op": "attach"})
    known = register.known
    (graph,) = (it.graph for it in known.graphs.values())
    assert [(link.param_no, link.tag_param_no) for link in graph.links] == [(2, 2), (1, 0)]
    with opened(store_url, tmp_path) as again:
        with again.change():
            pass
        assert again.known == known
    with opened(store_url, tmp_path, "I2") as other, other.change() as draft:
        assert not draft.devices and not draft.graphs and not draft.clients


def test_a_change_that_fails_is_nowhere(register, store_url, tmp_path):
    known = register.known
    signals(register)
    with pytest.raises(ZeroDivisionError), register.change() as draft:
        draft.remove_device(IDENTIFIER)
        requests.asked(draft, "gui/graph/2", {"op": "attach"})
        raise ZeroDivisionError
    assert register.known == known
    with opened(store_url, tmp_path) as again:
        with again.change():
            pass
        assert again.known == known
    assert not signals(register)


def test_signals_follow_links_while_the_device_is_online(register):
    link = {"da_id": IDENTIFIER, "idf": "meow"}
    ask(register, "add_link", **link)
    assert signals(register) == [("CONNECT", "meow")]
    says(register, "offline")
    ask(register, "add_link", da_id=IDENTIFIER, odf="meow")
    ask(register, "rm_link", **link)
    assert not signals(register)  # nobody hears it
    says(register, "online")
    assert signals(register) == [("CONNECT", "meow")]
    says(register, "online")  # it knows no topics any more
    assert signals(register) == [("CONNECT", "meow")]
    says(register, "online", retained=True)  # as a broker repeats it
    assert not signals(register)
    ask(register, "rm_link", da_id=IDENTIFIER, odf="meow")
    assert signals(register) == [("DISCONNECT", "meow")]


def test_two_graphs_with_one_feature_connect_it_once(register):
    link = {"op": "add_link", "da_id": IDENTIFIER, "idf": "meow"}
    with register.change() as draft:
        requests.asked(draft, "gui/graph/2", {"op": "attach"})
        for graph in "12":
            assert requests.asked(draft, f"gui/graph/{graph}", link)["state"] == "ok"
    assert signals(register) == [("CONNECT", "meow")]
    ask(register, "detach")
    assert not signals(register)
    with register.change() as draft:
        requests.asked(draft, "gui", {"op": "detach"})
    assert signals(register) == [("DISCONNECT", "meow")]


def test_what_an_earlier_registration_says_changes_nothing(register):
    earlier = register.known.devices[IDENTIFIER].rev
    put(register)
    for state in ("online", "offline"):
        assert says(register, state, earlier) == 1
        assert not register.known.devices[IDENTIFIER].online
    assert says(register, "online") == 0
    assert says(register, "offline", earlier, retained=True) == 1
    assert register.known.devices[IDENTIFIER].online


def test_links_outlive_a_device_that_leaves_and_registers_anew(register):
    ask(register, "add_link", da_id=IDENTIFIER, idf="meow")
    with register.change() as draft:
        draft.remove_device(IDENTIFIER)
    signals(register)
    put(register, OTHER)
    says(register, "online", device=OTHER)
    assert not signals(register)
    put(register, body={**BODY, "idf_list": []})
    says(register, "online")
    assert not signals(register)  # it has no such feature now
    put(register)
    says(register, "online")
    assert signals(register) == [("CONNECT", "meow")]


def test_a_signal_is_repeated_as_it_was_until_it_is_answered(register):
    ask(register, "add_link", da_id=IDENTIFIER, idf="meow")
    ((identifier, _),) = register.known.devices[IDENTIFIER].unanswered
    for _ in range(2):
        with register.change() as draft:
            control.remind(draft)
            (message,) = (SimpleNamespace(**it[1]) for it in draft.messages)
        assert (message.command, message.msg_id, message.idf) == ("CONNECT", identifier, "meow")
    with register.change() as draft:
        said = json.dumps({"msg_id": identifier, "state": "error", "reason": "no"}).encode()
        control.take(draft, Message(f"{IDENTIFIER}/ctrl/i", said, False, False, 0))
        assert [it.reason for it in draft.refusals] == ["a device refuses a signal"]
    device = register.known.devices[IDENTIFIER]
    assert device == replace(device, unanswered=())
    with register.change() as draft:
        control.remind(draft)
        assert not draft.messages


def test_a_device_that_nobody_uses_leaves_when_there_are_too_many(register, monkeypatch):
    monkeypatch.setattr("gateways.iottalk.register.MOST_DEVICES", 2)
    with register.change() as draft:
        assert draft.has_room()
        draft.put_device(registered(OTHER, BODY))
    ask(register, "add_link", da_id=OTHER, idf="meow")
    with register.change() as draft:
        assert not draft.has_room()  # one is online, and a graph has the other one
    ask(register, "rm_link", da_id=OTHER, idf="meow")
    with register.change() as draft:
        assert draft.has_room()
        assert draft.devices.keys() == {IDENTIFIER}
        assert draft.messages == [(f"{OTHER}/ctrl/i", b"", True)]
