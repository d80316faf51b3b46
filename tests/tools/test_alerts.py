import json

import pytest

from tests.http_server import says
from tests.tools.program import jph


@pytest.fixture
def network(bus, tmp_path, server):
    """Return what writes a configuration with these contacts."""

    def write(*contacts):
        entry = {"Codifier": "AL", "Type": "Alerts", "Sensor": {"Contacts": list(contacts)}}
        (tmp_path / "config.json").write_text(json.dumps(bus.document(entry)))

    return write


def test_a_test_message_goes_to_the_contacts_that_are_named(network, tmp_path, server):
    server.answers["*"] = says(b"")
    hook = {"Kind": "webhook", "URL": f"{server.url}/one"}
    network({"Name": "one", **hook}, {"Name": "two", **hook, "URL": f"{server.url}/two"})
    ended = jph(tmp_path, "alerts", "test", "two", "-u", "config.json")
    assert (ended.returncode, ended.stdout) == (0, "two: took the test message\n")
    ended = jph(tmp_path, "alerts", "test", "-u", "config.json")
    assert ended.stdout.splitlines() == [f"{it}: took the test message" for it in ("one", "two")]
    assert [path for _, path, _, _ in server.asked] == ["/two", "/one", "/two"]
    assert json.loads(server.asked[0][3])["event"] == "test"


def test_a_contact_that_takes_nothing_ends_with_the_reason(network, tmp_path, server):
    server.answers["*"] = says(b"", 401)
    network({"Name": "one", "Kind": "webhook", "URL": server.url})
    ended = jph(tmp_path, "alerts", "test", "one", "-u", "config.json")
    assert ended.returncode == 1 and "one: not delivered" in ended.stderr and "401" in ended.stderr


def test_an_unknown_contact_is_one_clear_line(network, tmp_path):
    network({"Name": "one", "Kind": "ntfy", "Topic": "x"})
    ended = jph(tmp_path, "alerts", "test", "tow", "-u", "config.json")
    assert ended.returncode == 1
    assert "no contact 'tow': there are one" in ended.stderr.splitlines()[-1]


def test_apprise_is_installed_where_a_contact_needs_it(network, tmp_path):
    network({"Name": "one", "Kind": "apprise", "URLFile": "urls"})
    assert "apprise" in jph(tmp_path, "config", "needs", "config.json").stdout
