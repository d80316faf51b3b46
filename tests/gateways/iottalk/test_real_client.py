"""The public client `iottalk-py`, in an environment of its own since it brings its own paho."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers import connected
from tests.gateways.iottalk.programs import Program, ask, gateway, network
from tests.helpers import eventually

# What its users write: a module with the device, that `python -m iottalkpy.dai` runs.
APPLICATION = """
api_url = "http://127.0.0.1:{port}"
device_name = "Thermometer"
device_model = "Dummy_Device"
device_addr = "{identifier}"
username = "anna"
idf_list = [("Temperature-I", ["celsius"])]
odf_list = [("Display-O", [None])]
push_interval = 0.2
count = 0

def on_register(dan):
    print("registered", flush=True)

def on_deregister(dan):
    print("left", flush=True)

def Temperature_I():
    global count
    count += 1
    return count

def Display_O(data):
    print("shows", data, flush=True)
"""
IDENTIFIER = "81bf7042-e20f-4a97-ac44-c15853e3618f"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the client and what it needs."""
    folder = tmp_path_factory.mktemp("iottalk-py")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ended = subprocess.run(
        [*pip, "--target", str(folder), "iottalk-py==2.3.1"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.slow
def test_its_device_registers_sends_shows_and_leaves(mqtt_broker, client, tmp_path):
    with (
        gateway(network(mqtt_broker), tmp_path) as (_, component),
        connected(mqtt_broker.port, "gui") as of_gui,
    ):
        file = tmp_path / "thermometer.py"
        text = APPLICATION.format(port=component.bound_port, identifier=IDENTIFIER)
        file.write_text(text)
        said = tmp_path / "said"
        with said.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-S", "-m", "iottalkpy.dai", str(file)],
                env={**os.environ, "PYTHONPATH": str(client)},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            eventually(lambda: "registered" in said.read_text(), 60, "it is registered")
            program = Program(of_gui)
            program.must("attach")
            (double,) = program.functions("def run(x): return 2 * x\n")
            program.must("add_link", da_id=IDENTIFIER, idf="Temperature-I", func=double)
            program.must("add_link", da_id=IDENTIFIER, odf="Display-O", func=None)
            eventually(lambda: "shows [8]" in said.read_text(), 60, "it shows twice the fourth")
            assert "shows [7]" not in said.read_text()

            with mqtt_broker_gone(mqtt_broker):
                before = said.read_text().count("shows")
            eventually(
                lambda: said.read_text().count("shows") > before + 2, 60, "it goes on by itself"
            )
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
        assert "left" in said.read_text(), said.read_text()
        assert ask(component, "GET", f"/{IDENTIFIER}")[0] == 404


class mqtt_broker_gone:
    """The broker is killed, and comes back at the same port."""

    def __init__(self, broker) -> None:
        self._broker = broker

    def __enter__(self) -> None:
        self._broker.kill()

    def __exit__(self, *exception: object) -> None:
        self._broker.start()
