"""Do the everyday jobs of an owner of sensors in a browser; print how many clicks each took.

    unshare --map-root-user --net python -m tests.jobs FOLDER CHROMIUM

The network namespace has nothing but a loopback interface, where the shipped network runs, beside a
node of one sensor that is ended, and a sensor that the configuration does not know.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.tools.program import TOP, start
from tests.web.browser import ARGUMENTS, is_live

ADDRESS = "http://127.0.0.1:8080/"
PATIENCE_MS = 30_000
TANK = {
    **{"Codifier": "TK", "Name": "Tank", "Symbol": "°C", "Type": "Simulated", "Host": "cellar"},
    **{"SensorInterval": 1, "KeepAliveInterval": 2, "TimeoutWarning": 3},
}
STRANGER = {**TANK, "Codifier": "X9", "Name": "Stranger"}

Job = Callable[["Owner"], None]
JOBS: list[tuple[str, Job]] = []


def job(words: str) -> Callable[[Job], Job]:
    """Name a job; they are done in the order in which they stand here."""

    def take(do: Job) -> Job:
        JOBS.append((words, do))
        return do

    return take


class Owner:
    """A person at a browser, who begins each job at the overview, and whose clicks are counted."""

    def __init__(self, page: Page, tank: "subprocess.Popen[str]") -> None:
        self.page = page
        self.tank = tank
        self.clicks = 0

    def begin(self) -> None:
        """Go to the overview, and count from 0."""
        self.page.goto(ADDRESS)
        is_live(self.page)
        self.clicks = 0

    def click(self, what: str | Locator) -> None:
        """Click on a place, or on a link or button with these words."""
        if isinstance(what, str):
            words = re.compile(rf"^\s*{re.escape(what)}\s*$", re.IGNORECASE)
            found = self.page.get_by_role("link", name=words)
            what = found.or_(self.page.get_by_role("button", name=words)).first
        what.click()
        self.clicks += 1

    def card(self, codifier: str) -> Locator:
        """Return the tile of a component."""
        return self.page.locator(f'.card[data-codifier="{codifier}"]')

    def open(self, codifier: str) -> None:
        """Open the page of a component."""
        self.click(self.card(codifier).locator("h3 a"))
        is_live(self.page)

    def navigate(self, word: str) -> None:
        """Go to one of the pages."""
        self.click(self.page.locator("nav.pages a").filter(has_text=word))

    def download(self, what: str | Locator) -> str:
        """Click on what is downloaded, and return its text."""
        with self.page.expect_download() as waiting:
            self.click(what)
        return Path(waiting.value.path()).read_text()

    def sees(self, place: str, text: str | re.Pattern[str]) -> None:
        """Wait until a place of the page has a text."""
        expect(self.page.locator(place).first).to_contain_text(text)

    def save(self, what: str) -> None:
        """Click on what saves a change, and wait until the page tells what became of it."""
        # The page of a revision tells what became of that one before it is taken back.
        with self.page.expect_response("**/settings/save"):
            self.click(what)
        self.sees_outcome()

    def sees_outcome(self) -> None:
        """Wait until the page tells what became of a change of the configuration."""
        self.sees("#outcome h2", "It is in force.")

    def sees_lines(self, count: int) -> None:
        """Wait until a graph has so many lines."""
        expect(self.page.locator("#lines > li")).to_have_count(count)


@job("see whether the network is well")
def network(owner: Owner) -> None:
    owner.navigate("Network")
    owner.sees("#nodes", "cellar")
    expect(owner.page.locator("#sentence")).not_to_be_empty()


@job("see what is dead and since when")
def dead(owner: Owner) -> None:
    owner.tank.kill()
    owner.tank.wait()
    owner.sees(
        "#troubles", re.compile(r"(cellar|Tank).*(is dead|is silent).*since .*\d", re.DOTALL)
    )


@job("be told when it fails")
def told(owner: Owner) -> None:
    expect(owner.page.locator("nav.pages a").filter(has_text="Alerts")).to_contain_text(
        re.compile(r"[1-9]")
    )
    owner.navigate("Alerts")
    owner.sees("main", re.compile("silent", re.IGNORECASE))


@job("compare two sensors")
def compare(owner: Owner) -> None:
    owner.open("LA")
    owner.click("Compare in Graphs")
    owner.sees_lines(1)
    owner.page.get_by_label("Add a sensor").fill("MA")
    owner.page.keyboard.press("Enter")
    owner.sees_lines(2)


@job("look at last month")
def month(owner: Owner) -> None:
    owner.open("LA")
    owner.click("Month")
    owner.sees("#span-label", "30 days")


@job("look at last year")
def year(owner: Owner) -> None:
    owner.open("LA")
    owner.click("Year")
    owner.sees("#span-label", "365 days")


@job("look at the same week a year ago")
def a_year_ago(owner: Owner) -> None:
    owner.open("LA")
    owner.click("Week")
    owner.click("A year earlier")
    owner.sees("#span-label", str(time.localtime().tm_year - 1))


@job("zoom and pan")
def zoom(owner: Owner) -> None:
    owner.open("LA")
    chart = owner.page.locator("#chart .u-over")
    box = chart.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    before = owner.page.locator("#span-label").inner_text()
    owner.page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    owner.page.mouse.down()
    owner.page.mouse.move(box["x"] + box["width"] * 0.9, middle, steps=5)
    owner.page.mouse.up()
    owner.clicks += 1
    expect(owner.page.locator("#span-label")).not_to_have_text(before)
    zoomed = owner.page.locator("#span-label").inner_text()
    owner.click(owner.page.get_by_label("Earlier", exact=True))
    expect(owner.page.locator("#span-label")).not_to_have_text(zoomed)


@job("export one sensor")
def export_one(owner: Owner) -> None:
    owner.open("LA")
    assert "LA" in owner.download("Download")


@job("export all sensors for a span")
def export_all(owner: Owner) -> None:
    owner.navigate("Graphs")
    owner.click(owner.page.locator("#export summary"))
    owner.page.get_by_label("Sensors").select_option("all")
    text = owner.download("Download")
    assert "LA" in text and "MA" in text


@job("share what I see by a link")
def share(owner: Owner) -> None:
    owner.open("LA")
    owner.click("Compare in Graphs")
    owner.sees_lines(1)
    owner.click("Copy link")
    link = owner.page.evaluate("navigator.clipboard.readText()")
    owner.page.goto(link)
    owner.sees_lines(1)


@job("read the log of one component")
def log(owner: Owner) -> None:
    owner.open("TK")
    expect(owner.page.locator("#log")).to_be_visible()
    owner.click(owner.page.locator("#log").get_by_role("link", name="All lines"))
    expect(owner.page).to_have_url(re.compile("component=TK"))


@job("add a sensor")
def add(owner: Owner) -> None:
    owner.navigate("Settings")
    owner.click("Add a sensor")
    owner.click(owner.page.get_by_role("link", name="A simulated sensor"))
    owner.page.get_by_label("Name", exact=True).fill("Greenhouse")
    owner.page.keyboard.press("Enter")
    owner.sees_outcome()
    owner.page.goto(ADDRESS)
    owner.sees("#board", "Greenhouse")


@job("change a setting")
def change(owner: Owner) -> None:
    owner.navigate("Settings")
    owner.click(owner.page.locator(".entries a").filter(has_text="Load, average"))
    owner.page.get_by_label("Name", exact=True).fill("Busyness")
    owner.save("Save")
    owner.page.goto(ADDRESS)
    expect(owner.card("LA").locator("h3 a")).to_have_attribute("title", "Busyness")


@job("take it back")
def take_back(owner: Owner) -> None:
    owner.navigate("Settings")
    owner.click(owner.page.get_by_role("link", name=re.compile(r"^revision \d+$")))
    owner.save("Take this change back")
    owner.page.goto(ADDRESS)
    expect(owner.card("LA").locator("h3 a")).to_have_attribute("title", "Load, average of 1 minute")


@job("see who changed what")
def who(owner: Owner) -> None:
    owner.navigate("Settings")
    owner.click("Revisions")
    owner.sees("table", "anna")


@job("halt a sensor, and start it again")
def halt(owner: Owner) -> None:
    owner.open("LA")
    owner.click("Halt")
    owner.sees(".naming .status", "Halted")
    owner.click("Start")
    owner.sees(".naming .status", "Active")


@job("set a value")
def set_value(owner: Owner) -> None:
    owner.open("SP")
    owner.page.get_by_label(re.compile("^Value to set")).fill("23.5")
    owner.click("Set")
    owner.sees(".subject .value", "23.5")


@job("accept a Codifier that is heard but not configured")
def accept(owner: Owner) -> None:
    owner.click(owner.page.locator("#strangers a").first)
    owner.click(owner.page.locator("#stranger-table a").first)
    owner.page.get_by_label("Name", exact=True).fill("Not a stranger")
    owner.save("Save")


@contextmanager
def processes(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the network; yield its one-time link, and the node of the tank."""
    document: dict[str, Any] = json.loads((TOP / "static" / "config.json").read_text())
    files = {}
    for name, extra in (("network", [TANK]), ("stranger", [TANK, STRANGER])):
        sensors = document["Sensors"] + extra
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps({**document, "Sensors": sensors}, indent=1))
    homes = [folder / name for name in ("home", "cellar", "elsewhere")]
    for home in homes:
        home.mkdir()
    started = [
        start(homes[0], "up", "--config", str(files["network"])),
        start(homes[1], "run", "TK", "--config", str(files["network"])),
        start(homes[2], "run", "X9", "--config", str(files["stranger"])),
    ]
    try:
        until_s = time.monotonic() + PATIENCE_MS / 1000
        while not (found := re.search(r"http\S+/enter/\S+", (homes[0] / "out").read_text())):
            assert time.monotonic() < until_s, (homes[0] / "err").read_text()
            time.sleep(0.1)
        yield found[0], started[1]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


def first_evening(page: Page, link: str) -> None:
    """Go through the welcome of a new network."""
    page.goto(link)
    page.get_by_label("Its name").fill("Home")
    page.get_by_label("Your name").fill("anna")
    for field in ("A password", "The password again"):
        page.get_by_label(re.compile(f"^{field}")).fill("correct horse")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#applied")).to_have_text("The configuration is written.")


def main(folder: Path, chromium: str) -> None:
    """Do all jobs; print [words, clicks, what went wrong] of each."""
    subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
    done: list[tuple[str, int, str]] = []
    expect.set_options(timeout=PATIENCE_MS)
    with processes(folder) as (link, tank), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = browser.new_context(
            viewport={"width": 1280, "height": 900},
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        first_evening(page, link)
        owner = Owner(page, tank)
        for words, do in JOBS:
            wrong = ""
            try:
                owner.begin()
                do(owner)
            except Exception as error:
                wrong = f"{page.url}: {error}"
                page.screenshot(path=folder / f"{words}.png")
            done.append((words, owner.clicks, wrong))
        done.append(("read what the console says", 0, "\n".join(complaints)))
        browser.close()
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
