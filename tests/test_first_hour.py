"""The README, followed literally in a checkout of its own."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.docs.blocks import commands
from tests.tools.program import TOP, run_apart
from tests.walk import ENDLESS, ITSELF

README = (TOP / "README.md").read_text()
VENV = """#!{0}/.venv/bin/python
from tools.main import main

main()
"""
IGNORED = (".git", ".venv", "var", "dist", "build", "*.egg-info", "__pycache__", ".*_cache")


@pytest.fixture
def clone(tmp_path):
    """Return a checkout as ./scripts/run leaves it; the packages are those of these tests."""
    checkout = tmp_path / "jph"
    shutil.copytree(TOP, checkout, ignore=shutil.ignore_patterns(*IGNORED))
    (tmp_path / "person").mkdir()
    venv = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=120)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n")
    (venv / "bin" / "jph").write_text(VENV.format(checkout))
    (venv / "bin" / "jph").chmod(0o755)
    stamp = 'source scripts/lib.sh; fingerprint >"$venv/.has-web"'
    subprocess.run(["bash", "-c", stamp], cwd=checkout, check=True, timeout=60)
    return checkout


@pytest.mark.slow
def test_its_commands_work_as_printed_in_their_order(clone):
    run = run_apart("tests.walk", clone, timeout_s=200)
    said = {command: (status, text) for command, status, text in json.loads(run.stdout)}
    printed = [c for c in commands(README) if c not in ITSELF and not c.startswith("source ")]
    assert set(printed) <= said.keys()
    failed = {command: what for command, what in said.items() if what[0] not in (0, 130, -2)}
    assert not failed
    for command, wanted in ENDLESS.items():
        assert wanted in said[command][1]
    wanted = {
        "jph control ping": r"^LA  .* \d+\.\d\d ms$",
        "jph control halt LA": r"^LA  .* is halted$",
        "jph control start LA": r"^LA  .* is active$",
        "jph control set SP 21.5": r"^SP  .* is 21.5 °C now$",
        "jph user add anna": "^anna can sign in$",
        "jph user list": "^anna\tadmin$",
        "jph config check my.json": "^my.json: [0-9]+ components, all good$",
    }
    for command, line in wanted.items():
        assert re.search(line, said[command][1], re.MULTILINE), said[command]
    home = f"home {clone / 'var'} (that of process "
    assert home in said["jph control ping"][1]
    assert home in said["jph user add anna"][1]
    assert f"home {clone / 'var'} (that of ./scripts/run here)" in said["jph up"][1]
    [signed_in] = [text for command, (_, text) in said.items() if "client.sign_in" in command]
    assert signed_in == "303\n"
