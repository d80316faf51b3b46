"""The scripts as their user sees them; nothing here reaches the network."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import eventually

ROOT = Path(__file__).resolve().parent.parent
# What the scripts call of a bare Debian: coreutils, util-linux, sed and grep.
BARE_TOOLS = (
    "bash basename cat cut dirname env find flock grep mkdir mktemp nproc readlink rm sed sha256sum"
    " tail"
)
REPORT = """#!/bin/sh
if [ "$1 $2" = "config needs" ]; then echo "$NEEDS"; exit "${FAILS-0}"; fi
printf '%s\\n' "$@" "pid $$" "bytecode ${PYTHONDONTWRITEBYTECODE-written}"
[ -z "$WAIT" ] || exec sleep 60
"""


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the logs of failed installations out of /tmp."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what the scripts need, in a folder with a space in its name."""
    copy = tmp_path / "my checkout"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for name in ("pyproject.toml", "setup.py", "package-lock.json"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def installed(checkout: Path) -> Path:
    """Return a checkout that looks installed; its `jph` reports how it was called."""
    program = checkout / ".venv" / "bin" / "jph"
    program.parent.mkdir(parents=True)
    program.write_text(REPORT)
    program.chmod(0o755)
    program.with_name("python").symlink_to(sys.executable)
    vendor = checkout / "static" / "vendor" / ".stamp"
    vendor.parent.mkdir(parents=True)
    vendor.touch()
    stamp = 'source scripts/lib.sh; fingerprint >"$venv/.has-web"'
    subprocess.run(["bash", "-c", stamp], cwd=checkout, check=True)
    return checkout


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """Return a PATH without apt-get and sudo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in BARE_TOOLS.split():
        (folder / tool).symlink_to(shutil.which(tool))
    return str(folder)


@pytest.fixture
def lock(checkout: Path) -> Iterator[int]:
    """Hold the lock of an installation that is going on."""
    folder = os.open(checkout, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    yield folder
    os.close(folder)


@pytest.mark.parametrize("name", ["run", "test", "check", "wheel", "bench"])
def test_scripts_can_be_executed(name):
    assert os.access(ROOT / "scripts" / name, os.X_OK)


@pytest.mark.parametrize("name", ["run", "check", "wheel", "bench"])
def test_help_prints_the_usage(name):
    ended = run(ROOT / "scripts" / name, "--help")
    assert ended.stdout.startswith(f"usage: ./scripts/{name}")
    assert ended.returncode == 0


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--prot", "80"], "jph: unknown option: --prot"),
        (["extra"], "jph: unknown option: extra"),
        (["--home"], "jph: --home needs a value"),
        (["--home="], "jph: --home needs a value"),
        (["--port", "http"], "jph: --port must be a number up to 65535, not http"),
        (["--port=65536"], "jph: --port must be a number up to 65535, not 65536"),
    ],
)
def test_run_refuses_what_it_does_not_know(checkout, arguments, complaint):
    ended = run(checkout / "scripts" / "run", *arguments)
    assert ended.stderr.splitlines()[0] == complaint
    assert "usage: ./scripts/run" in ended.stderr
    assert ended.returncode == 2
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("name", ["check", "wheel", "bench"])
def test_other_scripts_refuse_what_they_do_not_know(checkout, name):
    ended = run(checkout / "scripts" / name, "--unheard-of")
    assert "--unheard-of" in ended.stderr.splitlines()[0]
    assert ended.returncode == 2


def test_an_installed_checkout_starts_at_once(installed, monkeypatch):
    for name in ("JPH_HOME", "JPH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    ended = run(installed / "scripts" / "run", HOME="", PYTHONDONTWRITEBYTECODE="1")
    config = f"{installed}/static/config.json"
    assert ended.stdout.splitlines()[:5] == ["up", "--home", f"{installed}/var", "--config", config]
    assert ended.stdout.splitlines()[-1] == "bytecode written"
    assert ended.stderr == ""


def test_options_reach_the_program(installed):
    arguments = ["--port=0", "--home", "a home", "--config=http://localhost/c.json?x=1"]
    ended = run(installed / "scripts" / "run", *arguments)
    expected = "up --home|a home|--config|http://localhost/c.json?x=1|--port|0"
    assert ended.stdout.splitlines()[:7] == expected.replace(" ", "|", 1).split("|")


def test_run_starts_tenta_by_the_env_file_of_its_own_server(installed):
    python = installed / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\n")  # it has every package
    python.chmod(0o755)
    stamp = "source scripts/lib.sh; for it in web gateways postgres; do fingerprint >$venv/.has-$it"
    stamp = stamp.replace("$venv/.has-$it", '"$venv/.has-$it"') + "; done"
    subprocess.run(["bash", "-c", stamp], cwd=installed, check=True)
    done = run(installed / "scripts/run", "--env-file", "my .env", "--home=there")
    wanted = ["gateway", "tenta", "serve", "--home", "there", "--env-file", "my .env"]
    assert done.stdout.splitlines()[:7] == wanted
    assert run(installed / "scripts/run", "--env-file", ".env", "--port", "1").returncode == 2


def test_run_passes_on_that_it_is_to_take_over(installed):
    assert "--take-over" in run(installed / "scripts" / "run", "--take-over").stdout.splitlines()


@pytest.mark.slow
def test_what_another_configuration_needs_is_installed(installed):
    arguments = [installed / "scripts" / "run", "--config", "other.json"]
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    ended = run(*arguments, NEEDS="postgres,redis,web", **offline)
    assert "jph: installing JPH with what it needs for: postgres redis (a" in ended.stderr
    assert ended.returncode == 1


@pytest.mark.parametrize("needs", [{"NEEDS": "web"}, {"NEEDS": ""}, {"NEEDS": "", "FAILS": "78"}])
def test_a_configuration_that_needs_nothing_more_starts_at_once(installed, needs):
    ended = run(installed / "scripts" / "run", "--config=other.json", **needs)
    assert ended.stdout.startswith("up\n")
    assert ended.stderr == ""


def test_run_may_be_called_through_a_link(installed, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(installed / "scripts" / "run")
    assert run(link).stdout.startswith("up\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_program(installed, number):
    command = [installed / "scripts" / "run"]
    environment = os.environ | {"WAIT": "yes"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert f"pid {process.pid}\n" in iter(process.stdout.readline, "")
        process.send_signal(number)
        assert process.wait(30) == -number


@pytest.mark.parametrize("change", ["pyproject.toml", "package-lock.json", ".venv/.unfinished"])
@pytest.mark.slow
def test_a_change_leads_to_an_installation(installed, change):
    with (installed / change).open("a") as file:
        file.write("\n")
    ended = run(installed / "scripts" / "run", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert "installing JPH" in ended.stderr


@pytest.mark.slow
def test_without_the_network_one_line_says_so(checkout):
    ended = run(checkout / "scripts" / "run", PIP_NO_INDEX="1", PIP_FIND_LINKS="", HOME="")
    *noise, last = ended.stderr.splitlines()
    assert last.startswith("jph: could not install JPH: is this machine online")
    assert len(noise) < 20
    assert ended.returncode == 1
    again = run(checkout / "scripts" / "run", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert "making" not in again.stderr, "what was made well the first time is kept"


@pytest.mark.slow
def test_a_half_made_environment_is_made_anew(checkout):
    left = checkout / ".venv" / "bin"
    left.mkdir(parents=True)
    (left / "python").symlink_to("/nonexistent/python3")
    ended = run(checkout / "scripts" / "run", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert f"making {checkout}/.venv" in ended.stderr
    pip = [left / "python", "-m", "pip", "--version"]
    assert subprocess.run(pip, capture_output=True).returncode == 0


def test_a_second_first_start_waits_for_the_first(checkout, lock):
    command = [checkout / "scripts" / "run"]
    environment = os.environ | {"PYTHON": "/nonexistent/python3"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert "waiting" in process.stderr.readline()
        assert process.poll() is None
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert process.stderr.readline() == "jph: PYTHON=/nonexistent/python3: no such program\n"
        assert process.wait(30) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_signal_ends_an_installation_with_all_that_it_started(checkout, tmp_path, number):
    slow = tmp_path / "python3"
    slow.write_text(
        f'#!/bin/sh\n[ "$2" = venv ] || exec "{sys.executable}" "$@"\n'
        f'sleep 60 & echo $! >"{tmp_path}/pid"; wait\n'
    )
    slow.chmod(0o755)
    command = [checkout / "scripts" / "run"]
    environment = os.environ | {"PYTHON": str(slow)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        pid = eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    eventually(lambda: not Path("/proc", pid.strip()).exists())


def test_an_old_python_is_refused(checkout, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    ended = run(checkout / "scripts" / "run", PYTHON=str(old))
    assert ended.stderr.startswith(f"jph: needs Python 3.11 or newer, {old} is 3.9")
    assert ended.returncode == 1


def test_a_missing_venv_module_names_the_package(checkout, tmp_path, bare_path):
    python = tmp_path / "python3"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"'
    )
    python.chmod(0o755)
    ended = run(checkout / "scripts" / "run", PYTHON=str(python), PATH=bare_path)
    assert "-venv" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.returncode == 1


@pytest.mark.parametrize(("options", "whole"), [((), True), (("--quick",), False)])
def test_a_quick_run_needs_no_server_and_no_browser(checkout, bare_path, options, whole):
    ended = run(checkout / "scripts" / "test", *options, PATH=bare_path)
    assert ended.returncode == 1
    assert "gcc" in ended.stderr
    for package in ("chromium", "redis-server", "systemd-container"):
        assert (package in ended.stderr) is whole


def test_bench_goes_on_after_a_program_that_misses_its_limit(installed):
    folder = installed / "bench"
    folder.mkdir()
    for name, status in (("a", 0), ("b", 1), ("c", 0)):
        (folder / f"{name}.py").write_text(
            f"print('{name}', flush=True); raise SystemExit({status})"
        )
    web = installed / ".venv" / ".has-web"
    for extra in ("gateways", "nats", "gevent", "redis", "postgres", "test", "bench"):
        shutil.copy(web, web.with_name(f".has-{extra}"))
    ended = run(installed / "scripts" / "bench")
    assert ended.stdout.split() == ["a", "b", "c"]
    assert ended.stderr == "jph: failed, or missed a limit: b\n"
    assert ended.returncode == 1


def test_make_help_names_the_scripts():
    ended = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True)
    for name in ("run", "test", "check", "wheel", "bench"):
        assert f"make {name}" in ended.stdout


@pytest.mark.slow
def test_a_wheel_carries_the_pages(tmp_path):
    source, wheels, unpacked = tmp_path / "source", tmp_path / "wheels", tmp_path / "unpacked"
    unwanted = shutil.ignore_patterns(".*", "var", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", wheels, source], check=True, capture_output=True)
    [wheel] = wheels.glob("jph-*.whl")
    shutil.unpack_archive(wheel, unpacked, "zip")
    program = (
        "from jph import paths; import tools.main; "
        "print(paths.shipped_config(), (paths.templates_dir() / 'base.html').exists())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=unpacked,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert ended.stdout == f"{unpacked}/web/static/config.json True\n"
    for folder in ("static", "templates"):
        files = {p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.is_file()}
        carried = {
            p.relative_to(unpacked / "web")
            for p in (unpacked / "web" / folder).rglob("*")
            if p.is_file()
        }
        assert {f for f in files if not f.name.startswith(".")} <= carried
