"""Measure how soon a graph is on the screen, and how smoothly it moves, in a real browser.

    python -m bench.graphs [--store postgresql|sqlite] [--runs 7] [--days 365]

A0 has a reading every 10 s for a year, 3.15 million, and nine others for its last 31 days; all
statistics are computed. The pages run in a process of their own, Chromium shows them without a
graphics card. The time is that from the click on Year or Month until the next picture after the
chart was drawn, the median of some runs. The year is then dragged to and fro; what counts are the
pictures per second in which the chart was drawn anew, with all loading that goes with it.

Needs 1 GB of disk and three minutes for each store.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2
from playwright.sync_api import Page, sync_playwright

from bench import common
from bench.history_span import FILL, compute
from jph.clock import time_now_ms
from jph.stores import HistoryStore, Row, open_history
from jph.stores.buckets import HOUR_MS
from jph.stores.postgres import schema
from tests.helpers import free_tcp_port
from tests.servers import running_postgres

SENSORS = [f"A{n}" for n in range(10)]
STEP_MS = 10_000
DAY_MS = 24 * HOUR_MS
STEPS = DAY_MS // STEP_MS  # a day
MONTH = 31  # days of the nine others
YEAR_MS, MONTH_MS, LEAST_FRAMES = 400, 800, 30
PAN_S = 3.0
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

CLICK = """(last) => new Promise((resolve) => {
    const charts = document.getElementById('charts');
    const began = performance.now();
    const observer = new MutationObserver(() => {
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
    });
    observer.observe(charts, { attributes: true, attributeFilter: ['data-shown'] });
    document.querySelector(`[data-last="${last}"]`).click();
})"""
COUNT = """() => {
    const { clearRect } = CanvasRenderingContext2D.prototype;
    const counted = { drawn: 0, isDrawn: false, longest: 0, last: performance.now() };
    globalThis.counted = counted;
    CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        counted.isDrawn = true;
        return clearRect.apply(this, box);
    };
    const frame = (now) => {
        if (counted.isDrawn) {
            counted.drawn += 1;
            counted.isDrawn = false;
        }
        counted.longest = Math.max(counted.longest, now - counted.last);
        counted.last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


def day_rows(start_ms: int, day: int, codifiers: list[str]) -> list[Row]:
    """Return the readings of a day, by time."""
    return [
        (
            start_ms + step * STEP_MS + 500,
            codifier,
            step,
            20 + number + (step * 7919 % 1000) / 200,
            None,
        )
        for step in range(day * STEPS, (day + 1) * STEPS)
        for number, codifier in enumerate(codifiers)
    ]


def fill(store: HistoryStore, start_ms: int, days: int) -> None:
    """Store the year, a day at a time."""
    for day in range(days):
        store.append(day_rows(start_ms, day, SENSORS if days - day <= MONTH else SENSORS[:1]))
    compute(store)


def fill_postgres(store: HistoryStore, url: str, start_ms: int, days: int) -> None:
    """Store the year in the database itself, which takes a tenth of the time."""
    store.append([(start_ms, "A0", 0, 20.0, None)])
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        last_ms = start_ms + days * DAY_MS
        for week in range(start_ms // schema.WEEK_MS, last_ms // schema.WEEK_MS + 1):
            cursor.execute(schema.add_partition(week))
        for day in range(days):
            codifiers = SENSORS if days - day <= MONTH else SENSORS[:1]
            span = {"first": day * STEPS, "last": (day + 1) * STEPS - 1}
            values = {"start": start_ms, "step": STEP_MS, "codifiers": codifiers, **span}
            cursor.execute(FILL, values)
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE measurement")
    store.statistics.mark()
    compute(store)


@contextmanager
def served(
    url: str, folder: Path, net: common.Network, codifiers: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Run the pages of some sensors; give their address and the id of their process."""
    port = free_tcp_port()
    document = json.loads(net.config.read_text())
    document["Sensors"] = [
        {
            "Codifier": code,
            "Name": f"Sensor {code}",
            "Symbol": "°C",
            "Type": "External",
            "SensorInterval": STEP_MS // 1000,
        }
        for code in codifiers
    ]
    document["Sensors"] += [
        {"Codifier": "HW", "Type": "HistoryWriter", "Host": "nowhere", "Sensor": {"URL": url}},
        {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port}},
    ]
    config = folder / "graphs.json"
    config.write_text(json.dumps(document))
    run = [sys.executable, "-m", "tools.main", "run", "WB", "-u", str(config)]
    with subprocess.Popen([*run, "--home", str(folder)], cwd=common.ROOT) as process:
        try:
            common.await_pages(process, port)
            yield f"http://127.0.0.1:{port}/", process.pid
        finally:
            process.terminate()


def clicks(page: Page, address: str, codifiers: list[str], last: str, runs: int) -> list[float]:
    """Return how long a click took to show a span, ms, each time."""
    query = "&".join(f"line={codifier}" for codifier in codifiers)
    page.goto(f"{address}graphs?{query}&last=1h")
    page.wait_for_selector("#charts[data-shown]")
    taken = []
    for _ in range(runs + 1):
        taken.append(float(page.evaluate(CLICK, last)))
        page.evaluate(CLICK, "1h")
        page.wait_for_timeout(300)
    return taken[1:]


def pan(page: Page) -> tuple[float, float]:
    """Drag the chart to and fro; return pictures per second, and the longest pause, ms."""
    page.evaluate(CLICK, "1y")
    page.evaluate(COUNT)
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.down("Shift")
    page.mouse.move(middle, y)
    page.mouse.down()
    page.wait_for_timeout(200)
    page.evaluate("() => Object.assign(globalThis.counted, { drawn: 0, longest: 0 })")
    began_s, number = time.monotonic(), 0
    while (passed_s := time.monotonic() - began_s) < PAN_S:
        number += 1
        page.mouse.move(middle + 4 * (60 - abs(number % 120 - 60)), y)
    found = page.evaluate("() => globalThis.counted")
    page.mouse.up()
    page.keyboard.up("Shift")
    return found["drawn"] / passed_s, found["longest"]


def measure(store: str, url: str, folder: Path, net: common.Network, runs: int) -> bool:
    """Print what was measured on one store; tell whether all limits are kept."""
    with served(url, folder, net, SENSORS) as (address, _), sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        year = clicks(page, address, SENSORS[:1], "1y", runs)
        frames, longest_ms = pan(page)
        month = clicks(page, address, SENSORS, "1M", runs)
        browser.close()
    rows = []
    for name, taken, limit_ms in (("a year", year, YEAR_MS), ("ten for a month", month, MONTH_MS)):
        median_ms = statistics.median(taken)
        spread = f"{min(taken):.0f} to {max(taken):.0f}"
        rows.append(
            [name, f"{median_ms:.0f} ms", spread, *common.verdict(median_ms / limit_ms, most=1)]
        )
    verdict = common.verdict(frames / LEAST_FRAMES, least=1)
    rows.append(["moving", f"{frames:.0f} /s", f"pause {longest_ms:.0f} ms", *verdict])
    heads = ["", "median", "others", "of the limit", "target", ""]
    common.print_table(f"Graphs on {store}", heads, rows)
    return all("MISSED" not in row for row in rows)


def main() -> int:
    """Print the tables; fail beyond a limit."""
    parser = argparse.ArgumentParser(description="Milliseconds until a graph is on the screen.")
    parser.add_argument("--runs", type=int, default=7, help="of each click, default 7")
    parser.add_argument("--days", type=int, default=365, help="of history, default a year")
    parser.add_argument("--store", choices=("postgresql", "sqlite"), help="only this one")
    arguments = parser.parse_args()
    start_ms = time_now_ms() - arguments.days * DAY_MS
    are_kept = True
    for store in ("postgresql", "sqlite"):
        if arguments.store not in (None, store):
            continue
        with common.network() as net, ExitStack() as stack:
            home = net.folder / "home"
            home.mkdir(exist_ok=True)
            if store == "postgresql":
                server = stack.enter_context(running_postgres())
                url = server.url(server.create_database())
                with closing(open_history(url, home)) as history:
                    fill_postgres(history, url, start_ms, arguments.days)
            else:
                url = "sqlite:///history.sqlite"
                with closing(open_history(url, home)) as history:
                    fill(history, start_ms, arguments.days)
            are_kept &= measure(store, url, home, net, arguments.runs)
    return 0 if are_kept else 1


if __name__ == "__main__":
    sys.exit(main())
