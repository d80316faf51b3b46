"""The page with the log, and its lines for scripts."""

import logging
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tests.helpers import eventually
from tests.web.browser import is_live, sign_in
from tests.web.bus import component
from tests.web.client import Client
from web.logs import sources
from web.logs.line import LogError

STRANGE = '<img src=x onerror="fail()"> 🔥 \u202eabc'


@pytest.fixture(autouse=True)
def no_journal(monkeypatch):
    """Keep what this machine's own JPH may have in the journal out of the tests."""
    monkeypatch.setattr(sources, "_is_readable", lambda journal: False)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def lines(client, status=200, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = client.get(f"/logs/lines?{text}")
    assert answer.status == status, answer.text
    return answer.json


def texts(found):
    return [line["text"] for line in found["lines"]]


def test_only_operators_read_the_log(client, owner):
    assert client.get("/logs/lines").status == 401
    assert client.get("/logview").status == 303
    assert "Logs" not in client.get("/").text
    assert owner.get("/logview").status == 200
    assert "Logs" in owner.get("/").text


def test_lines_are_filtered_by_component_level_and_words(web, owner):
    logger = logging.getLogger("TempLinux")
    logger.warning("A1: is late")
    logger.error("A2: %s", STRANGE)
    assert texts(lines(owner, component="A1")) == ["A1: is late"]
    (strange,) = lines(owner, level="error", words="onerror")["lines"]
    assert (strange["text"], strange["level"], strange["codifier"]) == (
        f"A2: {STRANGE}",
        "ERROR",
        "A2",
    )
    assert lines(owner, words="there-is-none")["lines"] == []


def test_a_proxy_shows_what_its_server_logs(make_web):
    web = make_web(
        component("A1", settings={"Proxy": [{"Codifier": "A2"}]}), component("A2", type="Proxy")
    )
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())
    logging.getLogger("TempLinux").warning("A1: of the server")
    assert texts(lines(owner, component="A2")) == ["A1: of the server"]


def test_new_lines_are_followed(web, owner):
    found = lines(owner)
    logging.getLogger("jph.x").warning("one more")
    assert "one more" in texts(lines(owner, after=found["after"]))
    assert lines(owner, 400, after="x")["error"] == "There is no such place in the log."


def test_a_file_of_the_configuration_comes_first(web, owner, tmp_path):
    path = tmp_path / "own.log"
    path.write_text("2026-11-27 22:00:00,000 ERROR A1: in the file\n")
    document = {
        "version": 1,
        "formatters": {"f": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {
            "h": {"class": "logging.FileHandler", "formatter": "f", "filename": str(path)},
            "s": {"class": "logging.StreamHandler"},
        },
    }
    web._site.config = replace(web._site.config, logging=document)
    found = lines(owner, component="A1")
    assert found["title"] == str(path)
    assert texts(found) == ["A1: in the file"]
    assert found["lines"][0]["level"] == "ERROR"
    assert lines(owner, source="process")["title"] == "this process"
    assert str(path) in owner.get("/logview").text


def test_a_log_that_cannot_be_read_is_told(web, owner, monkeypatch):
    def refuse(*arguments):
        raise LogError("it is gone")

    monkeypatch.setattr(web._site.log_ring, "older", refuse)
    assert lines(owner, 503)["error"] == "it is gone"


@pytest.mark.parametrize(
    "path, selected, words",
    [
        ("/sensorlog/A1", "A1", ""),
        ("/logview/A1", "A1", ""),
        ("/logview/disk full", "", "disk full"),
    ],
)
def test_older_addresses_answer(owner, path, selected, words):
    page = owner.get(path.replace(" ", "%20")).text
    assert f'name="words" value="{words}"' in page
    assert ('<option value="A1" selected>' in page) == (selected == "A1")


def test_the_page_follows_the_log_and_filters_it(web, open_page):
    page = open_page(web.address)
    sign_in(page, web)
    logger = logging.getLogger("TempLinux")
    logger.warning("A1: %s", STRANGE)
    page.get_by_role("link", name="Logs").click()
    is_live(page)
    rows = page.locator("#log-lines li")
    expect(rows.filter(has_text="onerror")).to_have_count(1)
    expect(rows.filter(has_text="onerror").get_by_role("link", name="A1")).to_be_visible()
    logger.error("A2: comes later")
    later = rows.filter(has_text="A2: comes later")
    expect(later).to_have_count(1, timeout=15_000)
    page.get_by_label("Component").select_option("A1")
    expect(rows).to_have_count(1)
    assert "component=A1" in page.url
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Component").select_option("")
    page.get_by_label("Level").select_option("ERROR")
    expect(later).to_have_count(1)
    page.get_by_label("Words").fill("no such words")
    expect(page.get_by_text("No such lines.")).to_be_visible()
    page.get_by_label("Words").fill("")
    expect(later).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#log-state")).to_have_text("Paused")


def test_older_lines_are_shown_when_asked_for(web, open_page):
    logger = logging.getLogger("jph.many")
    for number in range(450):
        logger.warning("line %03d", number)
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}logview/jph.many")
    rows = page.locator("#log-lines li")
    expect(rows).to_have_count(200)
    for count in (400, 450):
        page.get_by_role("button", name="Show older lines").press("Enter")
        expect(rows).to_have_count(count)
    expect(page.get_by_role("button", name="Show older lines")).to_be_hidden()
    expect(rows.last).to_contain_text("line 000")


def test_a_log_that_goes_away_is_told_and_comes_back(web, open_page, monkeypatch):
    logging.getLogger("jph.x").warning("still here")
    page = open_page(web.address, complains=["503"])
    sign_in(page, web)
    page.goto(f"{web.address}logview")
    expect(page.locator("#log-lines li").first).to_be_visible()

    def refuse(*arguments):
        raise LogError("it is gone")

    with monkeypatch.context() as patch:
        patch.setattr(web._site.log_ring, "newer", refuse)
        expect(page.get_by_text("it is gone")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("it is gone")).to_be_hidden(timeout=15_000)
    logging.getLogger("jph.x").warning("here again")
    eventually(lambda: "here again" in page.locator("#log-lines").inner_text())


def test_nothing_scrolls_sideways_on_a_phone(web, open_page):
    logging.getLogger("jph.wide").error("A1: /very/long/path%s", "/and/longer" * 40)
    page = open_page(web.address, viewport={"width": 390, "height": 844})
    sign_in(page, web)
    page.goto(f"{web.address}logview?words=jph.wide")
    expect(page.locator("#log-lines li")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
