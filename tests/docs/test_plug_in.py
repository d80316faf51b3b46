"""The package of docs/plug-in: shown as it is, installed by pip, and run by JPH.

Nothing here reaches the network: what JPH needs is borrowed from where the tests run.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

from jph.config.model import build
from tests.helpers import eventually, naming
from tests.network import Peer
from tests.tools.program import TOP, environment

EXAMPLE = TOP / "docs" / "plug-in"
PAGE = (TOP / "docs" / "configuration.md").read_text()
SECTION = PAGE.split("### Types of other packages\n")[1].split("\n## ")[0]
PATIENCE_S = 60


def block(language):
    [found] = re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    return found


@pytest.fixture
def python(tmp_path):
    """Return the interpreter of a fresh environment that has JPH, and no pip."""
    place = tmp_path / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", place]
    subprocess.run(command, check=True, timeout=300)
    borrowed = f"{sysconfig.get_path('purelib')}\n{TOP}\n"
    (site_packages(place) / "borrowed.pth").write_text(borrowed)
    return place / "bin" / "python"


def site_packages(place):
    [found] = place.glob("lib/python*/site-packages")
    return found


def install(python, source):
    """Install a package into an environment, as `pip install` there would."""
    target = site_packages(python.parents[1])
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    pip += ["--no-index", "--disable-pip-version-check", "--target", target, source]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_shown_as_it_is():
    shown = {"pyproject.toml": block("toml"), "acme_barometer.py": block("python")}
    there = [path for path in EXAMPLE.iterdir() if path.name != "__pycache__"]
    assert {path.name: path.read_text() for path in there} == shown


@pytest.mark.slow
def test_it_is_installed_and_runs(python, bus, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    device = tmp_path / "baro0"
    device.write_text("979.5 21.25\n")
    sensors = json.loads(block("json"))
    sensors[0]["SensorInterval"] = 0.5
    sensors[0]["Sensor"] |= {"Device": str(device), "Altitude": 332}
    document = bus.document(*sensors)
    (home / "config.json").write_text(json.dumps(document))
    jph = [python, "-m", "tools.main"]

    def check():
        return subprocess.run(
            [*jph, "config", "check", "config.json"],
            env=environment(home),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    before = check()
    assert before.returncode == 78
    assert 'unknown Type "Barometer"' in before.stdout + before.stderr
    # Only a copy, because setuptools leaves what it built beside the source.
    install(python, shutil.copytree(EXAMPLE, tmp_path / "plug-in"))
    after = check()
    assert after.returncode == 0, after.stdout + after.stderr
    assert "arning" not in after.stdout + after.stderr
    with Peer(build(document)) as peer, open(home / "err", "w") as err:
        program = subprocess.Popen(
            [*jph, "run", "BA", "-u", "config.json"], env=environment(home), cwd=home, stderr=err
        )

        def heard(codifier, value):
            wanted = (codifier, value)
            peer.hear("data", lambda m: (m["source"], m.get("value")) == wanted, PATIENCE_S)

        try:
            heard("BA", 979.5 + 40)
            heard("BT", 21.25)
            device.write_text("broken\n")
            said = re.compile(naming("BA", str(device), "could not convert"))
            eventually(
                lambda: any(map(said.search, (home / "err").read_text().splitlines())), PATIENCE_S
            )
            device.write_text("980.5 22.5\n")
            heard("BA", 980.5 + 40)
        finally:
            program.terminate()
            program.wait(PATIENCE_S)
    assert program.returncode == 0
    assert "Traceback" not in (home / "err").read_text()
