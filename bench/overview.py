"""Measure the overview in a real browser: when it is seen, what it loads, what it costs while open.

    python -m bench.overview [--runs 7] [--seconds 20]

A web server in a process of its own shows 200 sensors that send 200 readings a second. Chromium
opens the page without a cache, and without a graphics card; the first row is the median of the
times until it shows something of it. Bytes are those on the wire, the live values of the first two
seconds with them. The processor time is that of all processes of the browser, of which a page that
shows nothing and does nothing costs a part, too.
"""

import argparse
import os
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench import common
from bench.pages import RATE, SENSORS, cpu_s, served

MOST_FIRST_MS, MOST_KB, MOST_LOAD = 700, 150, 0.08
SNAPSHOT_S = 2.0
SETTLE_S = 4.0
LIVE = "() => document.getElementById('connection').dataset.connection === 'live'"
PAINTED = """() => new Promise((resolve) => {
    const look = () => {
        const [entry] = performance.getEntriesByName('first-contentful-paint');
        if (entry) resolve(entry.startTime);
        else setTimeout(look, 20);
    };
    look();
})"""
# Title, address behind the root, width, height; the limit holds for the first ones.
LIMITED = 3
VIEWS = (
    ("tiles, 1280 x 800", "?view=tiles", 1280, 800),
    ("rows, 1280 x 800", "?view=rows", 1280, 800),
    ("tiles, on a phone", "?view=tiles", 390, 844),
    ("a wall of 2560 x 1440, all seen", "?wall=1", 2560, 1440),
)


def family(token: str) -> list[int]:
    """Return the processes of the browser that has a token among its arguments."""
    parents: dict[int, int] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if token in (folder / "cmdline").read_text():
                found.append(pid)
        except OSError:
            continue
    grew = True
    while grew:
        children = [pid for pid, parent in parents.items() if parent in found and pid not in found]
        found += children
        grew = bool(children)
    return found


def load_of(token: str, seconds: float) -> float:
    """Return the share of a core that the browser takes."""
    before = {pid: cpu_s(pid) for pid in family(token)}
    began_s = time.monotonic()
    time.sleep(seconds)
    past_s = time.monotonic() - began_s
    used = 0.0
    for pid in family(token):
        try:
            used += cpu_s(pid) - before.get(pid, 0.0)
        except OSError:  # it has just ended
            continue
    return used / past_s


@contextmanager
def opened(browser: Browser, width: int, height: int) -> Iterator[Page]:
    """Open a page with nothing in its cache."""
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        yield context.new_page()
    finally:
        context.close()


def first_paint_ms(browser: Browser, address: str) -> float:
    """Return after how long something of the page was seen."""
    with opened(browser, 1280, 800) as page:
        page.goto(address)
        found: float = page.evaluate(PAINTED)
        page.wait_for_function(LIVE)
        return found


def kilobytes(browser: Browser, address: str) -> float:
    """Return what a page and its first live values are on the wire."""
    with opened(browser, 1280, 800) as page:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        streams: set[str] = set()
        sizes: dict[str, float] = {}

        def on_response(event: dict[str, object]) -> None:
            if event["type"] == "EventSource":
                streams.add(str(event["requestId"]))

        def on_data(event: dict[str, float]) -> None:
            code = str(event["requestId"])
            if code in streams:
                sizes[code] = sizes.get(code, 0.0) + event["encodedDataLength"]

        def on_end(event: dict[str, float]) -> None:
            sizes[str(event["requestId"])] = event["encodedDataLength"]

        session.on("Network.responseReceived", on_response)
        session.on("Network.dataReceived", on_data)
        session.on("Network.loadingFinished", on_end)
        page.goto(address)
        page.wait_for_function(LIVE)
        page.wait_for_timeout(SNAPSHOT_S * 1000)
        return sum(sizes.values()) / 1000


def main() -> None:
    """Measure, print, and fail if a limit is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    token = f"--jph-bench={secrets.token_hex(8)}"
    with served("waitress") as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", token],
        )
        address = f"http://127.0.0.1:{site.port}/"
        first_paint_ms(browser, address)  # templates and files are in memory from now on
        paints = [first_paint_ms(browser, address) for _ in range(arguments.runs)]
        size_kb = statistics.median(kilobytes(browser, address) for _ in range(3))
        loads: list[tuple[str, float]] = []
        for title, query, width, height in (("nothing", "", 1280, 800), *VIEWS):
            with opened(browser, width, height) as page:
                if title == "nothing":
                    page.goto("about:blank")
                else:
                    page.goto(address + query)
                    page.wait_for_function(LIVE)
                time.sleep(SETTLE_S)
                loads.append((title, load_of(token, arguments.seconds)))
        browser.close()
    paint_ms = statistics.median(paints)
    checked = [
        ("first seen, ms", f"{paint_ms:.0f}", f"{MOST_FIRST_MS}", paint_ms <= MOST_FIRST_MS),
        ("on the wire, kB", f"{size_kb:.0f}", f"{MOST_KB}", size_kb <= MOST_KB),
    ]
    limited = {title for title, *_ in VIEWS[:LIMITED]}
    for title, load in loads:
        limit = f"{MOST_LOAD:.0%}" if title in limited else ""
        good = not limit or load <= MOST_LOAD
        checked.append((f"of a core, {title}", f"{load:.1%}", limit, good))
    common.print_table(
        f"The overview of {len(SENSORS)} sensors with {RATE} readings/s in Chromium",
        ["", "", "limit", ""],
        [
            [name, value, limit, "" if not limit else "met" if good else "MISSED"]
            for name, value, limit, good in checked
        ],
    )
    if not all(good for *_, good in checked):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
