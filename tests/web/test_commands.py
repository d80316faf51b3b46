import threading

import pytest

from tests.web.bus import SENDER, component, control, obey, reading
from tests.web.client import Client
from web.outcomes import TIMEOUT_S


@pytest.mark.parametrize(
    "flag, outcome", [("H", "is halted"), ("S", "is active"), ("C", "has reloaded")]
)
def test_a_command_goes_to_its_component_and_comes_back_with_what_became_of_it(
    web, owner, flag, outcome
):
    obey(web)
    answer = owner.command("A1", flag)
    assert answer.status == 200
    assert (answer.json["done"], answer.json["outcome"]) == (True, outcome)
    assert web.channel.told == [(flag, "A1", None)]


@pytest.mark.parametrize("flag", "HSCP")
def test_a_component_that_is_gone_is_told_from_one_that_obeys(web, owner, flag, monkeypatch):
    monkeypatch.setitem(TIMEOUT_S, flag, 0.05)
    answer = owner.command("A1", flag).json
    assert (answer["done"], answer["outcome"]) == (False, "did not answer")


def test_a_component_that_does_not_reload_is_told_from_one_that_is_gone(web, owner, monkeypatch):
    monkeypatch.setitem(TIMEOUT_S, "C", 0.05)
    obey(web)
    answers = web.channel.on_sent
    web.channel.on_sent = lambda flag, *sent: flag == "P" and answers(flag, *sent)
    answer = owner.command("A1", "C").json
    assert (answer["done"], answer["outcome"][:26]) == (False, "runs, but has not reloaded")


def test_what_cannot_be_halted_is_not_told_to(web, owner):
    answer = owner.command("W1", "H")
    assert answer.status == 409
    assert answer.json == {"error": "W1 stays active: a Web cannot be halted."}
    assert web.channel.sent == []


def test_the_server_itself_need_not_answer_its_ping(web, owner):
    for flag, outcome in (("P", "answered"), ("S", "is active")):
        answer = owner.command("W1", flag).json
        assert (answer["done"], answer["outcome"]) == (True, outcome)


def test_a_ping_says_how_long_the_answer_took(web, owner):
    def on_sent(flag, to, number):
        answer = control("T", to, "W1", number=number)
        threading.Timer(0.05, web.on_control, (answer, SENDER)).start()

    web.channel.on_sent = on_sent
    answer = owner.command("A1", "P").json
    assert 50 <= answer["round_trip_ms"] < 1000


def test_only_the_answer_to_this_ping_counts(web, owner):
    def on_sent(flag, to, number):
        web.on_control(control("T", to, "W1", number=number - 1), SENDER)
        web.on_control(control("T", "A2", "W1", number=number), SENDER)

    web.channel.on_sent = on_sent
    assert owner.command("A1", "P").json["round_trip_ms"] is None


def test_pings_at_the_same_moment_are_told_apart(web, monkeypatch):
    numbers = set()
    web.channel.on_sent = lambda flag, to, number: numbers.add(number)
    monkeypatch.setitem(TIMEOUT_S, "P", 0.01)
    outcomes, component = web._site.outcomes, web.config.components["A1"]
    threads = [
        threading.Thread(target=outcomes.tell, args=(web.channel, component, "P"))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 20


def test_a_stranger_is_told_to_sign_in(web, client):
    answer = client.command("A1", "H", client.token())
    assert answer.status == 401
    assert answer.json == {"error": "Sign in first."}
    assert web.channel.sent == []


def test_a_command_without_the_token_of_the_session_is_refused(web, owner):
    other = Client(web.bound_port).token()
    for token in ("", "x", other):
        answer = owner.command("A1", "H", token)
        assert answer.status == 403
        assert "error" in answer.json
    assert web.channel.sent == []


def test_an_unknown_component_or_flag_is_refused(web, owner):
    assert owner.command("zz", "H").status == 404
    assert owner.command("@@", "H").status == 404
    for flag in ("T", "N", "", "HS", None):
        answer = owner.command("A1", flag)
        assert answer.status == 400
        assert "H, S, P, C, A, E" in answer.json["error"]
    token = owner.token("/")
    headers = {"Content-Type": "application/json", "X-CSRF-Token": token}
    for body in ("[]", "1", "{", ""):
        assert owner.ask("POST", "/command", body, headers).status == 400
    assert web.channel.sent == []


def test_what_a_proxy_is_told_belongs_to_its_server(make_web):
    web = make_web(
        component("A1", settings={"Proxy": [{"Codifier": "A2"}]}), component("A2", type="Proxy")
    )
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())
    answer = owner.command("A2", "H")
    assert answer.status == 409
    assert "A1" in answer.json["error"]


@pytest.fixture
def set_point(make_web):
    """Return a server with a component that takes values, and its owner's browser."""
    web = make_web(
        component("A1"), component("SP", symbol="°C", type="SetPoint", control_enabled=True)
    )
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())
    obey(web)
    return web, owner


@pytest.mark.parametrize("given, number", [(21.5, 21.5), (-3, -3.0), ("21.5", 21.5)])
def test_a_value_goes_to_a_component_that_takes_one(set_point, given, number):
    web, owner = set_point
    answer = owner.command("SP", "A", number=given)
    assert (answer.status, answer.json["outcome"]) == (200, f"is {number:g} °C now")
    assert web.channel.told == [("A", "SP", number)]


@pytest.fixture
def lamp(make_web):
    """Return a server with a proxy that takes values, and its owner's browser."""
    served = {"type": "Proxy", "settings": {"Server": "G1"}}
    web = make_web(component("G1"), component("L1", control_enabled=True, **served))
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())

    def on_sent(flag, to, number):
        if flag == "P" and to == "G1":
            web.on_control(control("T", "G1", "W1", number=number), SENDER)
        elif flag == "A" and to == "L1":
            web.on_batch([reading("G1", 7.0), reading("L1", number)])

    web.channel.on_sent = on_sent
    return web, owner


def test_a_value_for_a_proxy_is_told_by_its_server_and_its_own_reading(lamp):
    web, owner = lamp
    answer = owner.command("L1", "A", number=1)
    assert (answer.status, answer.json["done"]) == (200, True)
    assert answer.json["outcome"] == "is 1 now"
    assert web.channel.told == [("A", "L1", 1.0)]
    assert 'name="number"' in owner.get("/component/L1").text


def test_a_proxy_whose_server_is_gone_did_not_answer(lamp, monkeypatch):
    monkeypatch.setitem(TIMEOUT_S, "A", 0.05)
    web, owner = lamp
    web.channel.on_sent = lambda *sent: None
    answer = owner.command("L1", "A", number=1).json
    assert (answer["done"], answer["outcome"]) == (False, "did not answer")


def test_a_proxy_is_set_by_nobody_who_is_not_signed_in(lamp):
    web, _ = lamp
    stranger = Client(web.bound_port)
    assert stranger.command("L1", "A", stranger.token(), number=1).status == 401
    assert web.channel.sent == []


def test_a_step_goes_to_it_too(set_point):
    _, owner = set_point
    owner.command("SP", "A", number=20)
    answer = owner.command("SP", "E", number=0.5).json
    assert (answer["done"], answer["outcome"]) == (True, "is 20.5 °C now")


def test_a_value_that_it_refuses_comes_with_the_one_that_stays(set_point, monkeypatch):
    monkeypatch.setitem(TIMEOUT_S, "A", 0.3)
    _, owner = set_point
    answer = owner.command("SP", "A", number=1000).json
    assert answer["done"] is False
    assert answer["outcome"] == "is 0 °C, not 1000 °C; its log tells why"


@pytest.mark.parametrize("given", [None, "", "warm", "nan", "inf", [21], {}, 10**400])
def test_what_is_no_number_is_not_sent(set_point, given):
    web, owner = set_point
    answer = owner.command("SP", "A", number=given)
    assert answer.status == 400
    assert answer.json == {"error": "The value must be a number."}
    assert web.channel.sent == []


def test_a_component_that_takes_no_values_is_not_set(set_point):
    web, owner = set_point
    answer = owner.command("A1", "A", number=1)
    assert answer.status == 409
    assert "Control" in answer.json["error"]
    assert web.channel.sent == []


def test_only_who_signed_in_finds_the_field_of_what_can_be_set(set_point):
    web, owner = set_point
    assert 'name="number"' in owner.get("/component/SP").text
    assert 'name="number"' not in owner.get("/component/A1").text
    assert 'name="number"' not in Client(web.bound_port).get("/component/SP").text


def test_a_value_is_set_without_scripts(set_point):
    web, owner = set_point
    token = owner.token("/component/SP")
    answer = owner.post("/command", csrf=token, codifier="SP", flag="A", number="21.5")
    assert answer.status == 303
    assert web.channel.told == [("A", "SP", 21.5)]
    assert "SP is 21.5 °C now." in owner.get("/component/SP").text
    assert "SP is 21.5 °C now." not in owner.get("/component/SP").text  # it is said once


def test_the_buttons_work_without_scripts(web, owner):
    obey(web)
    page = "/component/A1"
    answer = owner.post("/command", csrf=owner.token(page), codifier="A1", flag="H")
    assert answer.status == 303
    assert answer.headers["Location"] == page
    assert web.channel.told == [("H", "A1", None)]
    assert "A1 is halted." in owner.get(page).text


def test_a_stranger_without_scripts_is_sent_to_the_sign_in(web, client):
    answer = client.post("/command", csrf=client.token(), codifier="A1", flag="H")
    assert answer.status == 303
    assert answer.headers["Location"] == "/sign-in"
    assert web.channel.sent == []
