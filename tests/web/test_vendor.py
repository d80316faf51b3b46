import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
FILES = {
    "uplot/uPlot.iife.min.js",
    "uplot/uPlot.min.css",
    "uplot/LICENSE",
    "pico/pico.min.css",
    "pico/LICENSE.md",
}


def test_the_lock_fixes_versions_and_checksums_and_names_no_registry():
    text = (TOP / "package-lock.json").read_text()
    assert "://" not in text
    wanted = json.loads((TOP / "package.json").read_text())["dependencies"]
    packages = json.loads(text)["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(one["integrity"] for path, one in packages.items() if path)


@pytest.mark.slow
def test_the_libraries_are_placed_with_their_licences_and_only_once(tmp_path):
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(TOP / name, tmp_path)
    (tmp_path / "scripts").mkdir()
    shutil.copy(TOP / "scripts/vendor", tmp_path / "scripts")
    script = [str(tmp_path / "scripts/vendor")]
    environment = os.environ | {"JPH_PYTHON": str(TOP / ".venv/bin/python")}
    subprocess.run(script, check=True, env=environment, timeout=300)
    vendor = tmp_path / "static/vendor"
    found = {str(path.relative_to(vendor)) for path in vendor.rglob("*") if path.is_file()}
    assert found == FILES | {".stamp"}
    assert not (tmp_path / "node_modules").exists()

    shutil.rmtree(vendor / "pico")
    subprocess.run(script, check=True, env={"PATH": "/usr/bin:/bin"}, timeout=60)
    assert not (vendor / "pico").exists(), "nothing is done while the stamp is up to date"
    (vendor / ".stamp").write_text("older")
    subprocess.run(script, check=True, env=environment, timeout=300)
    assert (vendor / "pico/pico.min.css").exists()
