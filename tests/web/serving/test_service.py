import re
import socket
import subprocess
import sys
import threading

import pytest

import web.app
from jph.errors import ChannelError, ConfigError
from jph.settings import settings_of
from tests.helpers import eventually, naming
from tests.web.bus import component, config_of
from tests.web.client import Client, LiveReader
from web.service import Web


def test_a_taken_port_is_one_clear_line(make_web):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ChannelError) as caught:
            make_web(port=port)
    assert re.search(naming("127.0.0.1", str(port), "taken", "--port"), str(caught.value))


def test_an_address_of_another_machine_is_refused(make_web):
    with pytest.raises(ChannelError, match=naming("192.0.2.1", "8080")):
        make_web(host="192.0.2.1", port=8080)


def test_a_proxy_that_is_no_address_is_refused(make_web):
    with pytest.raises(ConfigError, match=naming("Proxies", "proxy.lan")):
        make_web(proxies=("proxy.lan",))


def test_the_port_is_free_again_after_the_close(make_web):
    web = make_web()
    with LiveReader(web.bound_port) as reader:
        reader.event()
        web.close()
    again = make_web(port=web.bound_port)
    assert Client(again.bound_port).get("/healthz").status == 200


def test_a_server_that_is_closed_at_once_leaves_nothing(make_web):
    before = threading.active_count()
    make_web().close()
    eventually(lambda: threading.active_count() == before)


def test_pages_are_served_although_another_thread_disturbs_the_compiler(make_web, monkeypatch):
    failures = [SystemError("AST constructor recursion depth mismatch")] * 2
    make = web.app.create_app

    def disturbed(*args, **kwargs):
        if failures:
            raise failures.pop()
        return make(*args, **kwargs)

    monkeypatch.setattr(web.app, "create_app", disturbed)
    assert Client(make_web().bound_port).get("/healthz").status == 200
    assert not failures


def test_the_settings_have_the_documented_keys():
    keys = {setting.key: setting.default for setting in settings_of(Web)}
    assert keys == {
        "Host": "127.0.0.1",
        "Port": 8080,
        "State": None,
        "History": None,
        "SQL": None,
        "PasswordFile": None,
        "AllowedHosts": (),
        "Proxies": (),
        "AnonymousRead": None,
        "Origins": (),
        "Server": "waitress",
        "Certificate": None,
        "Key": None,
        "StalledReader": 20.0,
    }


def test_the_greeting_names_the_address_and_a_way_in(web):
    greeting = web.greeting()
    assert f"http://127.0.0.1:{web.bound_port}/" in greeting
    assert "/enter/" in greeting


def test_the_address_of_all_interfaces_is_given_as_this_machine(make_web):
    web = make_web(host="0.0.0.0")
    assert web.address == f"http://127.0.0.1:{web.bound_port}/"


def test_a_reloaded_configuration_is_shown_without_a_restart(web, client):
    web.channel.process.config = config_of(component("B7", name="Newcomer"))
    web.on_config(web.channel.process.config)
    assert [state["Codifier"] for state in client.get("/sensor/").json] == ["B7"]
    assert "Newcomer" in client.get("/").text
    assert client.get("/component/A1").status == 404
    assert client.get("/static/config.json").json == web.config.document


def test_importing_the_component_loads_no_flask_and_no_database():
    heavy = {"flask", "sqlalchemy", "waitress", "pydantic"}
    assert loaded_with("web.service") & heavy == set()


def test_importing_the_application_loads_no_sqlalchemy():
    assert loaded_with("web.app") & {"flask", "sqlalchemy"} == {"flask"}


def test_a_link_needs_no_sqlalchemy():
    loaded = loaded_with("web.people.accounts, web.people.sessions")
    assert loaded & {"sqlalchemy", "sqlite3"} == {"sqlite3"}


def loaded_with(module):
    program = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
