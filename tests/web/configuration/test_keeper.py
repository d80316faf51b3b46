"""Saving the configuration: what is checked, written, kept and told."""

import json
import os
import socket
import stat
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jph.paths import shipped_config
from tests.helpers import eventually, free_tcp_port, naming, new_bus
from tests.network import Peer
from tests.web.bus import both_servers
from tests.web.serving.test_tls import make_certificate
from web.configuration import edits, store, trial
from web.configuration.file import NotWritableError
from web.configuration.keeper import ConflictError, RefusedError


def renamed(document, name):
    document["Sensors"][0]["Name"] = name
    return document


def test_a_change_of_one_value_is_written_kept_and_loaded(network, document):
    text = network.path.read_text()
    revision = network.keeper.save(renamed(document, "Hall"), "anna", "it moved")
    assert network.path.read_text() == text.replace("Kitchen", "Hall")
    assert (revision.number, revision.who, revision.why) == (2, "anna", "it moved")
    assert store.text_of(network.home, 1).decode() == text
    assert network.in_force().state == "in force"
    assert network.node.config.components["A1"].name == "Hall"
    eventually(lambda: network.keeper.trial.answers(network.node.config)["A2"] == "took")
    outcome = eventually(lambda: store.find(network.home, 2).outcome)
    assert outcome["state"] == "in force"


def test_mode_and_link_of_the_file_stay(make_network, path, document):
    path.chmod(0o640)
    link = path.with_name("link.json")
    link.symlink_to(path)
    network = make_network(link)
    network.keeper.save(renamed(document, "Hall"), "anna", "")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert json.loads(path.read_text())["Sensors"][0]["Name"] == "Hall"
    network.in_force()


def test_a_document_with_mistakes_is_refused_with_their_paths(network, document):
    text = network.path.read_text()
    document["Sensors"][0]["SensorInterval"] = -1
    document["Sensors"][1]["Sensor"] = {"Kind": "square"}
    with pytest.raises(RefusedError, match=naming("Sensors[0].SensorInterval", "Sensor.Kind")):
        network.keeper.save(document, "anna", "")
    with pytest.raises(RefusedError, match=naming("line 1")):
        network.keeper.save("{", "anna", "")
    assert network.path.read_text() == text
    assert store.newest(network.home).number == 1


def test_the_component_that_serves_the_pages_cannot_be_removed_on_them(network, document):
    with pytest.raises(RefusedError, match=naming("W1", "serves these pages")):
        network.keeper.save({**document, "Sensors": document["Sensors"][:2]}, "anna", "")


def test_an_edit_by_hand_becomes_a_revision_and_is_not_overwritten_unseen(network, document):
    eventually(lambda: store.newest(network.home))
    base = network.keeper.look()
    by_hand = network.path.read_text().replace("Cellar", "Attic")
    network.path.write_text(by_hand)
    with pytest.raises(ConflictError) as conflict:
        network.keeper.save(renamed(document, "Hall"), "anna", "", base.number)
    assert (conflict.value.base.number, conflict.value.newest.number) == (1, 2)
    assert conflict.value.newest.kind == "by hand"
    assert network.path.read_text() == by_hand
    with pytest.raises(ConflictError):
        network.path.write_text(by_hand.replace("Attic", "Roof"))
        network.keeper.save(renamed(document, "Hall"), "anna", "")  # of the last one seen


def test_an_edit_by_hand_is_noticed_by_itself(network):
    eventually(lambda: store.newest(network.home))
    network.path.write_text(network.path.read_text().replace("Cellar", "Attic"))
    eventually(lambda: store.newest(network.home).kind == "by hand")


def test_the_shipped_network_is_never_written(make_network, monkeypatch, tmp_path, path, document):
    shipped = tmp_path / "static" / "config.json"
    shipped.parent.mkdir()
    shipped.write_text(path.read_text())
    monkeypatch.setattr("jph.paths.static_dir", lambda: shipped.parent)
    assert shipped_config() == shipped
    network = make_network(shipped)
    network.keeper.save(renamed(document, "Hall"), "anna", "")
    assert network.in_force().state == "in force"
    assert shipped.read_text() == path.read_text()
    own = network.home / "config.json"
    assert json.loads(own.read_text())["Sensors"][0]["Name"] == "Hall"
    assert network.node.config.source == str(own.resolve())
    network.keeper.save(renamed(document, "Porch"), "anna", "")
    assert json.loads(own.read_text())["Sensors"][0]["Name"] == "Porch"
    network.in_force()


def test_a_file_of_somebody_else_is_refused_by_name(network, document, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(NotWritableError, match=naming(str(network.path.parent), "may not write")):
        network.keeper.save(renamed(document, "Hall"), "anna", "")


def test_two_changes_at_once_follow_each_other(network):
    def named(name):
        return lambda document: document["Sensors"][0].update(Name=name)

    network.keeper.change(named("One"), "anna", "first")
    network.keeper.change(named("Two"), "bert", "second")
    assert network.in_force().number == 3
    assert network.node.config.components["A1"].name == "Two"


def test_the_pages_move_to_another_port(network, document):
    port = free_tcp_port()
    document["Sensors"][2]["Sensor"]["Port"] = port
    network.keeper.save(document, "anna", "")
    assert network.in_force().state == "in force"
    assert network.client().get("/").status == 200
    assert network.web.bound_port == port


def test_a_port_that_is_taken_is_taken_back_with_the_reason(network, document):
    text = network.path.read_text()
    taken = free_tcp_port()
    with socket.create_server(("127.0.0.1", taken)):
        document["Sensors"][2]["Sensor"]["Port"] = taken
        network.keeper.save(document, "anna", "")
        ended = network.in_force()
    assert (ended.state, network.path.read_text()) == ("taken back", text)
    assert str(taken) in ended.reason
    last = store.newest(network.home)
    assert (last.kind, last.number) == ("taken back", 3)
    assert "anna" in last.why
    eventually(lambda: network.client().get("/").status == 200)


def test_a_change_that_the_process_does_not_load_is_taken_back_in_time(
    network, document, monkeypatch
):
    monkeypatch.setattr(trial, "TRIAL_S", 2.0)
    network.node.on_reload = lambda runners: None
    client, text = network.client(), network.path.read_text()

    def handed_out():
        return client.get("/static/config.json").json["Sensors"][0]["Name"]

    network.keeper.save(renamed(document, "Hall"), "anna", "")
    assert handed_out() == "Hall"  # other nodes may ask before this one has loaded it
    ended = network.in_force()
    assert (ended.state, network.path.read_text()) == ("taken back", text)
    assert "has not loaded it" in ended.reason
    assert handed_out() == "Kitchen"


def test_what_somebody_edits_while_a_change_is_on_trial_stays_theirs(
    network, document, monkeypatch
):
    monkeypatch.setattr(trial, "TRIAL_S", 2.0)
    network.node.on_reload = lambda runners: None
    network.keeper.save(renamed(document, "Hall"), "anna", "")
    by_hand = network.path.read_text() + "\n"
    network.path.write_text(by_hand)
    assert network.in_force().state == "left"
    assert network.path.read_text() == by_hand


def test_a_change_of_the_groups_takes_everybody_along(network, document):
    document["Multicast"]["Data-Channel"]["Port"] = new_bus().data[1]
    network.keeper.save(document, "anna", "")
    assert network.in_force().state == "in force"
    port = document["Multicast"]["Data-Channel"]["Port"]
    assert network.node.config.multicast.data.port == port


def test_what_is_taken_back_gives_way_to_the_last_valid_document(network, document, monkeypatch):
    monkeypatch.setattr(trial, "TRIAL_S", 2.0)
    text = network.path.read_text()
    network.keeper.look()
    network.path.write_text("{ half")
    broken = network.keeper.look()
    network.node.on_reload = lambda runners: None
    corrected = json.dumps(renamed(document, "Hall"))
    network.keeper.save(corrected, "anna", "", broken.number)
    assert network.in_force().state == "taken back"
    assert network.path.read_text() == text


def test_each_component_tells_whether_it_took_the_change(make_network, path, document, monkeypatch):
    monkeypatch.setattr(trial, "ANSWERS_S", 3.0)
    for codifier in ("B1", "B2", "B3"):
        document["Sensors"].append({"Codifier": codifier, "Type": "Simulated", "Host": "elsewhere"})
    path.write_text(json.dumps(document))
    network = make_network(path, here={"A1", "A2", "W1"})
    with Peer(network.node.config) as peer:
        network.keeper.save(renamed(document, "Hall"), "anna", "")
        ping = peer.hear("control", lambda it: it["flag"] == "P" and it["to"] == "@@")
        peer.command("T", "W1", ping["number"], source="B1")
        peer.command("N", number=ping["time_ms"], source="B2")

        def answers():
            return {
                it["codifier"]: it["answer"]
                for it in edits.outcome_of(network.web._site, 2)["components"]
            }

        eventually(lambda: "waiting" not in answers().values())
        expected = {"A1": "took", "A2": "took", "W1": "took"}
        assert answers() == {**expected, "B1": "refused", "B2": "took", "B3": "silent"}
        eventually(lambda: network.keeper.trial is None)
        assert answers()["B3"] == "silent"  # as it is kept


@both_servers
def test_the_pages_come_back_with_other_settings_of_their_own(network, document):
    document["Sensors"][2]["Sensor"]["StalledReader"] = 30
    network.keeper.save(document, "anna", "")
    assert network.in_force().state == "in force"
    assert network.client().get("/").status == 200


def test_a_file_that_was_deleted_is_written_again(network, document):
    text = network.path.read_text()
    network.keeper.look()
    network.path.unlink()
    assert network.keeper.look().number == 1
    network.keeper.save(text, "anna", "", 1)
    assert network.path.read_text() == text
    assert network.in_force().state == "in force"
    network.path.unlink()
    network.keeper.save(renamed(document, "Hall"), "anna", "")
    assert json.loads(network.path.read_text())["Sensors"][0]["Name"] == "Hall"
    network.in_force()


@pytest.fixture
def url(path):
    """Return the address of the file on a web server of its own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = partial(Quiet, directory=path.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{path.name}"
        server.shutdown()
        thread.join()


def test_a_configuration_from_a_url_is_changed_there(make_network, url, document, path):
    network = make_network(url)
    assert network.keeper.look().kind == "found"
    assert store.text_of(network.home, 1).decode() == path.read_text()
    with pytest.raises(NotWritableError, match=naming(url, "change it there")):
        network.keeper.save(renamed(document, "Hall"), "anna", "")
    assert url in network.client().get("/settings").text
    path.write_text(path.read_text().replace("Kitchen", "Hall"))
    network.keeper.reload()
    eventually(lambda: network.node.config.components["A1"].name == "Hall")
    assert network.keeper.look().kind == "fetched"


def test_the_probe_asks_over_tls_too(make_network, path, document, tmp_path):
    certificate, key = map(str, make_certificate(tmp_path, "pages"))
    document["Sensors"][2]["Sensor"] |= {"Certificate": certificate, "Key": key}
    path.write_text(json.dumps(document))
    network = make_network(path)
    network.keeper.save(renamed(document, "Hall"), "anna", "")
    assert network.in_force().state == "in force"
