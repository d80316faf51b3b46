"""The pages of the boards, over HTTP and in a browser, of a gateway with real boards and broker."""

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing

import pytest

from gateways.esp32.examples.boards import mac_of
from gateways.esp32.pages import password_of
from gateways.esp32.pages.live import Live
from jph.errors import ConfigError
from tests.gateways.esp32.conftest import gateway, network
from tests.helpers import eventually
from tests.web.browser import schemes, violations
from tests.web.conftest import browser, open_page  # noqa: F401

URL = "sqlite:///gateways.sqlite"
NO_REDIRECT = urllib.request.build_opener(
    type("Stay", (urllib.request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})
)


@pytest.fixture
def component(mosquitto, tmp_path):
    with gateway(network(mosquitto.url, URL), tmp_path) as (_, component):
        yield component


@pytest.fixture
def board(component, mosquitto, boards):
    """Return a board that has reported, and what lets it do something."""
    some = boards(mosquitto.port)
    board = some.started()
    for value in (5, 58):
        some.do(board, "report", "photoresistor", value)
    some.do(board, "report", "button", 1)
    eventually(lambda: component.service.boards())
    eventually(lambda: component.service.boards()[0].button)
    board.do = lambda *arguments: some.do(board, *arguments)
    board.end = lambda: some.end(board)
    return board


class Answer:
    def __init__(self, answer):
        self.status, self.headers = answer.status, answer.headers
        self.text = answer.read().decode()


def ask(component, path, given=None, **headers):
    data = None if given is None else urllib.parse.urlencode(given).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://127.0.0.1:{component.bound_port}{path}"
    request = urllib.request.Request(url, data, names)
    try:
        with NO_REDIRECT.open(request, timeout=60) as answer:
            return Answer(answer)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error)


def post(component, path, given, page="/capteurs", **headers):
    """Send a form as a browser does that has loaded a page with it."""
    loaded = ask(component, page, **{key: it for key, it in headers.items() if key != "Origin"})
    token = re.search(r'name="csrf" value="([^"]+)"', loaded.text)[1]
    if cookie := loaded.headers["Set-Cookie"]:
        headers["Cookie"] = cookie.partition(";")[0]
    return ask(component, path, {**given, "csrf": token}, **headers)


def test_the_pages_show_each_board_and_its_last_values(component, board):
    assert ask(component, "/").headers["Location"] == "/capteurs"
    shown = ask(component, "/capteurs")
    assert shown.status == 200
    article = f'<article class="board" data-id="capteur01" data-session-id="{board.session}"'
    assert article in shown.text
    assert re.search(r"Button <strong[^>]*>pressed<", shown.text)
    past = ask(component, "/historique").text
    values = re.findall(r'data-kind="(\w+)" data-value="(\d+)"', past)
    assert values == [
        ("photoresistor", "5"),
        ("photoresistor", "58"),
        ("button", "1"),
        ("led", "0"),
    ]
    assert ask(component, "/nothing").status == 404
    assert ask(component, "/static/css/boards.css").status == 200
    for path in ("/static/js/live.js", "/static/..%2ftemplates/boards/base.html"):
        assert ask(component, path).status == 404


def test_an_led_is_switched_as_programs_of_the_original_do(component, board):
    query = urllib.parse.urlencode({"cmd": "1", "ssnid": board.session})
    found = ask(component, f"/led/capteur01?{query}")
    assert (found.status, json.loads(found.text)["led"], board.led) == (200, True, True)
    off = ask(component, "/led/capteur01", {"cmd": "0", "ssnid": board.session})
    assert (json.loads(off.text)["led"], board.led) == (False, False)
    older = {"cmd": "1", "ssnid": "1743946777.603371"}
    assert ask(component, "/led/capteur01", older).status == 404
    assert ask(component, "/led/nobody", older).status == 404
    assert ask(component, "/led/capteur01", {"cmd": "2", "ssnid": board.session}).status == 400
    assert ask(component, "/led/capteur01").status == 400
    assert not board.led


def test_pages_of_other_sites_switch_nothing(component, board):
    given = {"cmd": "1", "ssnid": board.session}
    query = urllib.parse.urlencode(given)
    foreign = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(component, f"/led/capteur01?{query}", **foreign).status == 403
    assert ask(component, "/led/capteur01", given, **foreign).status == 403
    assert ask(component, "/led/capteur01", given, Origin="http://elsewhere").status == 403
    assert ask(component, f"/led/capteur01?{query}", Referer="http://elsewhere/").status == 403
    assert ask(component, "/live", Sec_Fetch_Site="same-site").status == 403
    assert ask(component, "/capteurs", Host="elsewhere:8000").status == 421
    assert ask(component, "/capteurs", **foreign).status == 200  # a link that somebody follows
    assert not board.led


def test_a_board_gets_another_name_and_is_forgotten(component, board):
    renamed = post(component, "/capteurs/capteur01/name", {"name": "Küche 1"})
    assert (renamed.status, renamed.headers["Location"]) == (303, "/capteurs")
    assert component.service.boards()[0].name == "Küche 1"
    wrong = post(component, f"/capteurs/{urllib.parse.quote('Küche 1')}/name", {"name": "a;b"})
    assert wrong.status == 400
    assert "keeps its name: the name has a ; or a /" in wrong.text
    assert post(component, "/capteurs/nobody/name", {"name": "x"}).status == 404
    assert post(component, f"/capteurs/{urllib.parse.quote('Küche 1')}/forget", {}).status == 303
    assert not component.service.boards()


def test_what_changes_is_streamed_and_a_closed_page_frees_its_place(component, board):
    url = f"http://127.0.0.1:{component.bound_port}/live"
    heard = []

    def listen():
        with urllib.request.urlopen(url, timeout=60) as stream:
            for line in stream:
                if line.startswith(b"data: {"):
                    heard.append(json.loads(line[6:]))
                    if heard[-1]["light"][-1:] == [77]:
                        return

    thread = threading.Thread(target=listen)
    thread.start()
    eventually(lambda: heard, 60)
    assert (heard[0]["name"], heard[0]["light"]) == ("capteur01", [5, 58])
    board.do("report", "photoresistor", 77)
    thread.join(60)
    assert heard[-1]["light"] == [5, 58, 77]
    eventually(lambda: not component.service._listeners, 60, "the place is free")


def test_a_board_that_changes_often_is_sent_now_and_then(component, board):
    with closing(Live(component.service)._events()) as events:
        assert [next(events).partition("\n")[0][:5] for _ in range(3)] == [
            "retry",
            "event",
            "data:",
        ]
        for value in range(40):
            board.do("report", "photoresistor", value)
        sent = [next(events)]
        while "38, 39]" not in sent[-1]:
            assert len(sent) < 100, sent[-1]
            sent.append(next(events))
    assert len([each for each in sent if "data:" in each]) < 30


def test_pages_that_are_open_leave_threads_for_others(component, monkeypatch):
    monkeypatch.setattr("gateways.esp32.pages.live.MOST_PAGES", 2)
    live = Live(component.service)
    first, second = live.stream(), live.stream()
    third = live.stream()
    assert (third.status_code, third.headers["Retry-After"]) == (503, "10")
    first.close()
    assert live.stream().status_code == 200
    second.close()


def test_forms_need_the_token_of_the_page(component, board):
    forms = (("/capteurs/capteur01/name", {"name": "x"}), ("/capteurs/capteur01/forget", {}))
    for path, given in forms:  # as browsers send it that tell nothing of where it comes from
        refused = ask(component, path, given)
        assert (refused.status, refused.text) == (
            403,
            "The page is too old or not ours: load it again.\n",
        )
        assert ask(component, path, {**given, "csrf": ""}).status == 403
        assert ask(component, path, {**given, "csrf": "é"}, Cookie="jph-boards=x").status == 403
    mine, other = (ask(component, "/capteurs") for _ in range(2))
    token = re.search(r'name="csrf-token" content="([^"]+)"', other.text)[1]
    cookie = mine.headers["Set-Cookie"].partition(";")[0]
    path, given = forms[0]
    assert ask(component, path, {**given, "csrf": token}, Cookie=cookie).status == 403
    assert component.service.boards()[0].name == "capteur01"
    assert post(component, path, given).status == 303


def sign_in(component, password, **headers):
    return post(component, "/sign-in", {"password": password}, page="/sign-in", **headers)


def test_off_the_loopback_interface_people_sign_in(mosquitto, tmp_path, boards):
    config = network(mosquitto.url, URL, Host="0.0.0.0")
    with gateway(config, tmp_path) as (_, component):
        board = boards(mosquitto.port).started()
        eventually(lambda: component.service.boards()[0].connected)
        password = (tmp_path / "gateways" / "esp32-password").read_text().strip()
        page = ask(component, "/capteurs", Accept="text/html")
        assert (page.status, page.headers["Location"]) == (302, "/sign-in")
        given = {"cmd": "1", "ssnid": board.session}
        for path in ("/live", "/historique", "/led/capteur01"):
            assert ask(component, path).status == 401
        assert ask(component, "/led/capteur01", given).status == 401
        assert not board.led
        assert ask(component, "/sign-in").status == 200
        assert sign_in(component, "wrong").status == 401
        come = sign_in(component, password)
        assert come.status == 303
        cookie = come.headers["Set-Cookie"].partition(";")[0]
        assert ask(component, "/capteurs", Cookie=cookie).status == 200
        assert ask(component, "/led/capteur01", given, Cookie=cookie).status == 200
        assert board.led
        for _ in range(12):
            last = sign_in(component, "wrong")
        assert last.status == 429


def test_nobody_passes_by_a_proxy_on_this_machine_unless_there_is_a_password(mosquitto, tmp_path):
    proxy = {"X_Forwarded_For": "192.0.2.7"}
    with gateway(network(mosquitto.url, URL), tmp_path) as (_, component):
        assert ask(component, "/capteurs", **proxy).status == 403
    (tmp_path / "password").write_text("a password\n")
    more = {"PagePasswordFile": str(tmp_path / "password")}
    with gateway(network(mosquitto.url, URL, **more), tmp_path) as (_, component):
        assert ask(component, "/capteurs").status == 401
        assert sign_in(component, "a password", **proxy).status == 303
        https = sign_in(component, "a password", X_Forwarded_Proto="https", **proxy)
        assert "; Secure" in https.headers["Set-Cookie"]
        # As an older browser behind a proxy that calls us otherwise than the browser does.
        older = {**proxy, "Origin": "https://boards.example", "Host": "127.0.0.1:8000"}
        cookie = https.headers["Set-Cookie"].partition(";")[0]
        assert ask(component, "/sign-out", {}, Cookie=cookie, **older).status == 403
        out = post(component, "/sign-out", {}, Cookie=cookie, **older)
        assert (out.status, out.headers["Location"]) == (303, "/sign-in")


def test_the_history_of_many_boards_has_several_pages(component, mosquitto):
    with mosquitto.client() as client:
        for number in range(1, 121):
            client.publish("state/join", mac_of(number), 1)
        eventually(lambda: len(component.service.boards()) == 120, 60)
    names = []
    for page in (1, 2, 3):
        text = ask(component, f"/historique?page={page}").text
        assert f"page {page} of 3" in text
        names += re.findall('data-id="([^"]+)"', text)
    assert names == [f"capteur{number:02d}" for number in range(1, 121)]
    for page in ("0", "99", "x"):
        assert ask(component, f"/historique?page={page}").status == 200


def test_the_password_of_the_pages_may_be_in_a_file(tmp_path):
    made = password_of(tmp_path, None)
    assert password_of(tmp_path, None) == made
    file = tmp_path / "password"
    file.write_text("a password\n")
    assert password_of(tmp_path, file) == "a password"
    file.write_text("\n")
    for wrong in (file, tmp_path / "none"):
        with pytest.raises(ConfigError, match="PagePasswordFile"):
            password_of(tmp_path, wrong)


def is_good_at_all_sizes(page):
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        for scheme in schemes(page):
            assert violations(page) == [], scheme
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{page.url} is {wide} px wider than {width} px"


@pytest.mark.browser
def test_a_person_signs_in_and_out(mosquitto, tmp_path, open_page):  # noqa: F811
    (tmp_path / "password").write_text("a password\n")
    more = {"PagePasswordFile": str(tmp_path / "password")}
    with gateway(network(mosquitto.url, URL, **more), tmp_path) as (_, component):
        url = f"http://127.0.0.1:{component.bound_port}/historique"
        page = open_page(url, complains=["401"])
        assert page.url.endswith("/sign-in")
        is_good_at_all_sizes(page)
        page.keyboard.type("wrong")  # where one types is chosen already
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]:text('That is not the password.')")
        is_good_at_all_sizes(page)
        page.get_by_label("Password").fill("a password")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("h1:text('Boards')")
        is_good_at_all_sizes(page)
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_selector("h1:text('Sign in')")


@pytest.mark.browser
def test_a_person_sees_boards_change_and_switches_one(component, board, open_page):  # noqa: F811
    page = open_page(f"http://127.0.0.1:{component.bound_port}/capteurs")
    card = page.locator("article.board")
    led = card.get_by_role("switch")
    page.wait_for_selector(".connection[data-connection=live]")
    assert led.get_attribute("aria-checked") == "false"
    led.focus()
    page.keyboard.press("Space")
    page.wait_for_selector('.led[aria-checked="true"]')
    assert board.led
    board.do("report", "photoresistor", 77)
    page.wait_for_selector("text=Last: 5 58 77 %")
    # With hundreds of boards a browser has time to write what changed, and no more.
    page.evaluate(
        """() => {
          window.written = [];
          const note = (all) => window.written.push(...all.map((it) => it.target.className));
          const what = { subtree: true, childList: true, attributes: true };
          new MutationObserver(note).observe(document.querySelector(".boards"), what);
        }"""
    )
    board.do("report", "photoresistor", 42)
    page.wait_for_selector("text=Last: 5 58 77 42 %")
    written = page.evaluate("window.written.map((it) => it.baseVal ?? it)")
    assert sorted(written) == ["", "now", "values quiet"]
    card.get_by_text("Name, forget").click()
    card.get_by_label("Name").fill("LeBron")
    card.get_by_role("button", name="Rename").click()
    page.wait_for_selector("h2:text('LeBron')")
    for path in ("capteurs", "historique"):
        page.goto(f"http://127.0.0.1:{component.bound_port}/{path}")
        is_good_at_all_sizes(page)
    page.goto(f"http://127.0.0.1:{component.bound_port}/capteurs")
    page.wait_for_selector(".connection[data-connection=live]")
    board.end()
    page.wait_for_selector('article[data-connected="false"]')
    assert led.is_disabled()
    page.on("dialog", lambda dialog: dialog.accept())
    card.get_by_text("Name, forget").click()
    card.get_by_role("button", name="Forget").click()
    page.wait_for_selector("text=No board has joined yet")
    assert mac_of(1) not in page.locator(".boards").inner_html()
