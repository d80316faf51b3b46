"""Measure the memory of a node: with the shipped network, and with three Pipe sensors.

    python -m bench.memory [--seconds 20]

It is the resident memory in /proc/PID/status after some seconds of work, in processes of their
own. A browser signs in to the shipped network and opens its pages, so that all modules are
imported. Then the cost of an import, each in a fresh interpreter, with all that it imports in turn.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from bench import common
from bench.common import Network

SHIPPED_MB = 90
PIPES_MB = 30
IMPORTS = (
    "jph",
    "click",
    "sqlite3",
    "flask",
    "sqlalchemy",
    "flask_sqlalchemy",
    "waitress",
    "bcrypt",
)
# Known by their compiled parts; markupsafe comes with Flask's templates.
HEAVY = ("markupsafe", "sqlalchemy", "bcrypt", "_sqlite3", "_ssl")


def resident_mb(pid: int | str = "self") -> float:
    """Return the resident memory of a process, in MB of 10**6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def loaded(pid: int) -> str:
    """Return the number of threads of a process, and the heavy packages that it has loaded."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    found = [name for name in HEAVY if f"/{name}/" in maps or f"/{name}." in maps]
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return f"{threads} threads; {', '.join(found) or 'none of ' + ', '.join(HEAVY)}"


def pipes(net: Network) -> Path:
    """Return a configuration of three Pipe sensors on a bus of its own."""
    document = json.loads(net.config.read_text())
    document["Sensors"] = [
        {"Codifier": code, "Type": "Pipe", "SensorInterval": 1, "Sensor": {"Pipe": path}}
        for code, path in (("P1", "/proc/loadavg"), ("P2", "/proc/uptime"), ("P3", "/proc/loadavg"))
    ]
    path = net.folder / "pipes.json"
    path.write_text(json.dumps(document))
    return path


def shipped(net: Network, port: int) -> Path:
    """Return the shipped configuration, moved to a bus of its own."""
    from jph import paths

    text = paths.shipped_config().read_text()
    document = json.loads(text.replace(":8080/", f":{port}/"))  # one of its sensors reads a page
    document["Multicast"] = json.loads(net.config.read_text())["Multicast"]
    path = net.folder / "shipped.json"
    path.write_text(json.dumps(document))
    return path


def visit(output: str) -> None:
    """Sign in with the link that the program printed, look at the pages, try a wrong password."""
    link = re.search(r"http://\S+/enter/\S+", output)
    if link is None:
        raise SystemExit(f"no sign-in link in:\n{output}")
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def fetch(path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with browser.open(urllib.parse.urljoin(link[0], path), data, timeout=5) as answer:
                page: bytes = answer.read()
        except urllib.error.HTTPError as error:
            page = error.read()
        return page.decode()

    def token(page: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        return found[1] if found else ""

    page = fetch(link[0])
    action = re.search(r'<form id="enter" method="post" action="([^"]+)"', page)
    if action is None:
        raise SystemExit(f"no form behind {link[0]}")
    fetch(action[1], {"csrf": token(page)})
    for path in ("/", "/sensor/", "/sensor/LA", "/component/LA"):
        fetch(path)
    page = fetch("/sign-in")  # looked up among the accounts, which no link needs
    fetch("/sign-in", {"csrf": token(page), "name": "nobody", "password": "wrong"})


def measure(
    name: str, config: Path, seconds: float, most_mb: float, net: Network, port: int
) -> list[str]:
    """Run `jph up` twice with one home; return a row of the table about the second run."""
    command = [str(Path(sys.executable).with_name("jph")), "up", "--port", str(port)]
    command += ["--home", str(net.folder / name), "--config", str(config)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    log = net.folder / "log"
    # The first start makes the home; the second one is measured.
    for wait_s in (3.0, seconds):
        with (
            open(log, "wb") as output,
            subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process,
        ):
            try:
                time.sleep(3)
                if port:
                    visit(log.read_text())
                time.sleep(wait_s - 3)
                used_mb, has = resident_mb(process.pid), loaded(process.pid)
            finally:
                process.terminate()
    return [
        f"{name}, limit {most_mb:g} MB",
        f"{used_mb:.1f}",
        *common.verdict(used_mb / most_mb, most=1),
        has,
    ]


def import_cost_mb(module: str) -> tuple[float, float]:
    """Return the MB and ms that an import costs in a fresh interpreter."""
    program = (
        "import time, bench.memory as m; before = m.resident_mb(); start = time.perf_counter()\n"
        f"import {module}\n"
        "print(m.resident_mb() - before, (time.perf_counter() - start) * 1000)"
    )
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, cwd=common.ROOT, check=True, capture_output=True).stdout
    cost_mb, cost_ms = map(float, output.split())
    return cost_mb, cost_ms


def main() -> None:
    """Measure both networks, then the imports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    with common.network() as net:
        port = common.free_port()
        lines = [
            measure(
                "shipped network", shipped(net, port), arguments.seconds, SHIPPED_MB, net, port
            ),
            measure("three Pipe sensors", pipes(net), arguments.seconds, PIPES_MB, net, 0),
        ]
    common.print_table(
        f"Memory after {arguments.seconds:g} s",
        ["", "MB", "of the limit", "target", "", "in it"],
        lines,
    )
    costs = []
    for module in IMPORTS:
        runs = [import_cost_mb(module) for _ in range(3)]
        cost_mb, cost_ms = (common.median([run[at] for run in runs]) for at in (0, 1))
        costs.append([f"import {module}", f"{cost_mb:.1f}", f"{cost_ms:.0f}"])
    common.print_table("What an import costs by itself", ["", "MB", "ms"], costs)


if __name__ == "__main__":
    main()
