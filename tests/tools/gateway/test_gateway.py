"""The commands ask a real server of a gateway, over a real store."""

import json
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from gateways import schema
from gateways.http import JsonServer, home_token, listen
from gateways.store import Store
from gateways.tenta import tables
from gateways.tenta.configurations import Outgoing
from gateways.tenta.routes import app_of
from gateways.tenta.service import Service
from gateways.tenta.writing import Batch, write
from jph.config.model import build
from tests.gateways.tenta.client import Client
from tests.network import config_of
from tests.tools.program import jph
from tools.gateway.command import gateway as command

MULTICAST = dict(config_of({"Codifier": "A1"}).document)["Multicast"]


class Home:
    """A home whose gateway of Tenta runs, with one sensor in ada-net."""

    def __init__(self, folder, store) -> None:
        self.folder, self.store = folder, store
        self.file = folder / "network.json"
        service = Service(store, Outgoing("TG"), home_token(folder), codifiers=self.codifiers)
        self.server = JsonServer(listen("127.0.0.1", 0), app_of(service))
        settings = {"Host": "0.0.0.0", "Port": self.server.port, "Codifiers": "t0-tz"}
        self.configure({"Codifier": "TG", "Type": "Tenta", "Sensor": settings})
        with closing(Client(self.server.port)) as client:
            self.sensor = client.begin(store).sensor
        self.at_us = time.time_ns() // 1000
        logs = [(self.sensor, self.at_us, None, 0, "warning", "cold \x1b[2J feet", None, None)]
        rows = [(self.sensor, self.at_us, None, 0, {"t": 21.5, "h": 40.0})]
        with store.writing() as connection:
            write(connection, Batch(measurements=rows, logs=logs))

    def codifiers(self):
        """Return what the configuration maps now."""
        content = json.loads(self.file.read_text())
        proxies = content["Sensors"][0]["Sensor"].get("Proxy", [])
        return {(it["Device"], it["Attribute"]): it["Codifier"] for it in proxies}

    def configure(self, *entries):
        """Write the configuration, its Multicast on one line as a person may have it."""
        multicast = json.dumps(MULTICAST)
        lines = ",\n   ".join(json.dumps(entry) for entry in entries)
        self.file.write_text(f'{{"Multicast": {multicast},\n "Sensors": [\n   {lines}]}}\n')

    def run(self, *arguments):
        """Run a command to its end."""
        where = ["--home", str(self.folder), "--config", str(self.file)]
        return CliRunner().invoke(command, [*arguments, *where])


@pytest.fixture
def home(tmp_path):
    url = "sqlite:///gateways.sqlite"
    with closing(Store.open(url, tmp_path, steps=tables.STEPS)) as store:
        made = Home(tmp_path, store)
        with closing(made.server):
            yield made


def test_what_devices_sent_is_listed(home):
    arguments = ["--home", str(home.folder), "--config", str(home.file)]
    ended = jph(home.folder, "gateway", "list", *arguments)
    assert ended.returncode == 0, ended.stderr
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(home.at_us / 1e6)).split()
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["Device", "Attribute", "Value", "Time", "Codifier"],
        ["ada-net/bed-3", "h", "40", *when, "-"],
        ["ada-net/bed-3", "t", "21.5", *when, "-"],
    ]


def test_a_value_is_adopted_and_the_file_keeps_its_form(home):
    before = home.file.read_text()
    shown = home.run("adopt", "ada-net/bed-3", "t")
    assert shown.exit_code == 0
    assert '{"Codifier": "t0", "Device": "ada-net/bed-3", "Attribute": "t"}' in shown.output
    assert home.file.read_text() == before
    done = home.run("adopt", "ada-net/bed-3", "t", "--symbol", "°C", "--write")
    assert done.exit_code == 0, done.output
    assert "t0 is t of ada-net/bed-3" in done.output
    after = home.file.read_text()
    first = before.splitlines()[0]
    assert after.startswith(f'{first}\n "Sensors": [\n   {{"Codifier": "TG"')
    entry = {"Codifier": "t0", "Type": "Proxy", "Name": "bed-3 t", "Symbol": "°C"}
    content = json.loads(after)
    assert content["Sensors"][1] == {**entry, "DataType": "double", "TimeoutWarning": 600}
    assert build(content).components["t0"].server == "TG"
    again = home.run("adopt", "ada-net/bed-3", "t", "--write")
    assert again.exit_code == 1 and "on the bus already, as t0" in again.output
    by_identifier = home.run("adopt", str(home.sensor), "h", "--codifier", "xx", "--write")
    assert by_identifier.exit_code == 0, by_identifier.output
    assert home.codifiers() == {("ada-net/bed-3", "t"): "t0", (str(home.sensor), "h"): "xx"}
    assert "everything is on the bus" in home.run("list", "--new").output


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["ada-net/bed-4", "t"], "there is no device ada-net/bed-4; there are: ada-net/bed-3"),
        (["ada-net/bed-3", "x"], "has not sent x; it sent: h, t"),
        (["ada-net/bed-3", "t", "--codifier", "TG"], "TG is taken"),
    ],
)
def test_what_cannot_be_adopted_is_said(home, arguments, said):
    before = home.file.read_text()
    ended = home.run("adopt", *arguments, "--write")
    assert ended.exit_code == 1 and said in ended.output
    assert home.file.read_text() == before


def test_refused_messages_and_the_log_of_a_device_are_shown(home):
    assert "refused: nothing" in home.run("log").output
    refusal = schema.Refusal(home.at_us, "measurements/x", "not JSON", b"{\x1b[2J" + b"x" * 300)
    with home.store.writing() as connection:
        schema.note_refusals(connection, "TG", [refusal])
    output = home.run("log").output
    assert "not JSON  measurements/x  {\N{REPLACEMENT CHARACTER}[2Jx" in output
    assert output.endswith("refused: not JSON (1)\n")
    assert "xxx…\n" in output
    device = home.run("log", "ada-net/bed-3").output
    assert "warning  cold \N{REPLACEMENT CHARACTER}[2J feet" in device
    assert "there is no device nobody" in home.run("log", "nobody").output


def test_a_gateway_that_does_not_run_is_told(home, tmp_path):
    home.server.close()
    ended = home.run("list")
    assert ended.exit_code == 1 and "TG does not answer at http://127.0.0.1:" in ended.output
    (tmp_path / "gateways" / "token").write_text("b" * 64)
    again = JsonServer(
        listen("127.0.0.1", home.server.port),
        app_of(Service(home.store, Outgoing("TG"), "a" * 64)),
    )
    with closing(again):
        assert "401 send the token" in home.run("list").output
    (tmp_path / "gateways" / "token").unlink()
    assert "has not run yet with the home" in home.run("list").output


def test_the_gateway_has_to_be_clear(home):
    both = [
        {"Codifier": code, "Type": "Tenta", "Sensor": {"Port": port}}
        for code, port in (("T1", 1), ("T2", 2))
    ]
    home.configure(*both)
    assert "several gateways (T1, T2)" in home.run("log").output
    assert "T2 does not answer at http://127.0.0.1:2" in home.run("log", "-c", "T2").output
    home.configure({"Codifier": "A1", "Type": "Pipe"})
    assert "no component of type Esp32, IotTalk or Tenta" in home.run("list").output
