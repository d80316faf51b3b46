"""Tests of the roles: who may use which view, by session or by token, and from where."""

import json
import re
from base64 import b64encode

import pytest

from tests.web.client import Client, LiveReader
from web.app import Application
from web.people import tokens
from web.people.access import NEEDED, PERSON, Role, needed_role, needs
from web.serving.security import FOR_PROGRAMS, SAFE_METHODS

PASSWORD = "correct horse"
FAR = "10.1.2.3"  # as a named proxy says


@pytest.fixture
def app(tmp_path):
    """Return an application of this home, in whose context accounts and tokens are made."""
    with Application(tmp_path).app_context() as context:
        yield context.app


@pytest.fixture
def sign_in(web, app, monkeypatch):
    """Return what makes an account of a role and signs in with it."""
    from web.people import users

    monkeypatch.setattr(users, "ROUNDS", 4)

    def make(role: Role, web=web) -> Client:
        users.set_password(role.word, PASSWORD, role)
        client = Client(web.bound_port)
        client.post("/sign-in", csrf=client.token(), name=role.word, password=PASSWORD)
        return client

    return make


@pytest.fixture
def make_token(app):
    """Return what makes a token of a role and gives the header with it."""

    def make(role: Role, days: float | None = None) -> str:
        return f"Bearer {tokens.make(f'for a {role.word}', role, 'test', days)}"

    return make


@pytest.mark.parametrize("role", Role)
def test_commands_need_an_operator(web, sign_in, role):
    person = sign_in(role)
    answer = person.command("A1", "H", person.token("/"))
    assert answer.status == (403 if role < Role.OPERATOR else 200)
    assert bool(web.channel.sent) == (role >= Role.OPERATOR)


def test_a_viewer_is_told_which_role_it_takes(sign_in):
    person = sign_in(Role.VIEWER)
    answer = person.command("A1", "H", person.token("/"))
    assert answer.json["error"].startswith("This needs the role operator; you are viewer.")


def test_a_viewer_gets_no_buttons(sign_in):
    assert 'class="more"' not in sign_in(Role.VIEWER).get("/").text
    assert 'class="more"' in sign_in(Role.OPERATOR).get("/").text


def test_a_change_of_role_holds_at_once(web, app, sign_in):
    from web.people import users

    person = sign_in(Role.OPERATOR)
    token = person.token("/")
    assert users.set_role("operator", Role.VIEWER)
    assert person.command("A1", "H", token).status == 403


def test_a_mark_survives_other_decorators():
    assert getattr(needs(Role.ADMIN)(lambda: ""), NEEDED) is Role.ADMIN


# Every route


SAMPLES = {"codifier": "A1", "int": "1", "float": "1"}


def routes(web):
    """Return method, address and needed role of every view there is."""
    app = web._server._application()  # tries again if the server makes its own just now
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<(?:(\w+)[^:>]*:)?\w+>", lambda m: SAMPLES.get(m[1], "x"), path)
        for method in (rule.methods or {"GET", "POST"}) - {"HEAD", "OPTIONS"}:
            yield method, path, rule.endpoint, view, needed_role(view, method)


def test_what_changes_something_says_who_may(web):
    silent = [
        endpoint
        for method, _, endpoint, view, _ in routes(web)
        if method not in SAFE_METHODS and not hasattr(view, NEEDED)
    ]
    assert silent == [], "decorate these with @needs(Role.…) or @open_to_strangers"


def test_only_these_views_are_open_to_strangers(web):
    found = {endpoint for *_, endpoint, _, needed in routes(web) if needed is None}
    assert found <= OPEN, "a stranger of the network may use these: is that meant?"


OPEN = {
    *("accounts.sign_in", "accounts.sign_in_with_password", "accounts.sign_out"),
    *("accounts.enter", "accounts.enter_now", "accounts.old_sign_in", "accounts.old_sign_out"),
    *("sensors.healthz", "readiness.readyz", "errors.robots", "push.worker"),
    "api_v1.endpoint",  # each of its endpoints names its role, see tests/web/api_v1
}


@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_is_closed_to_those_below_its_role(make_web, make_token, role):
    """Nothing of a view's own answers; what refuses has its own words."""
    web = make_web(proxies=("127.0.0.1",), stalled_reader_s=1.0)
    client = Client(web.bound_port)
    headers = {"X-Forwarded-For": FAR}
    if role is not None:
        headers["Authorization"] = make_token(role)
    looked = 0
    for method, path, endpoint, view, needed in routes(web):
        if endpoint == "static" or needed is None or (role or 0) >= needed:
            continue
        looked += 1
        answer = client.ask(method, path, None, headers)
        if role is not None:
            assert answer.status == 403, (method, path)
            assert f"needs the role {needed.word}" in answer.json["error"]
        elif method in SAFE_METHODS or hasattr(view, FOR_PROGRAMS):
            assert answer.status == 401 or answer.headers["Location"].startswith("/sign-in"), path
        else:
            assert answer.status == 403, path
            assert "load it again" in answer.text, "no CSRF token either"
    assert looked or (role or 0) >= Role.OPERATOR
    assert web.channel.sent == []


@pytest.mark.parametrize("role", Role)
def test_every_page_is_open_to_those_with_its_role(make_web, make_token, role):
    web = make_web(anonymous_read=False)
    client = Client(web.bound_port)
    for method, path, endpoint, view, needed in routes(web):
        is_for_all = not hasattr(view, PERSON) and endpoint != "live.live"
        if method == "GET" and is_for_all and role >= (needed or 0):
            answer = client.get(path, Authorization=make_token(role))
            assert answer.status not in (401, 403, 500), (path, answer.text[:300])


def test_a_stranger_without_a_csrf_token_is_no_case_of_its_own(make_web):
    web = make_web(proxies=("127.0.0.1",))
    client = Client(web.bound_port)
    far = {"X-Forwarded-For": FAR}
    page = client.ask("GET", "/sign-in", None, far).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    far |= {"X-CSRF-Token": csrf, "Content-Type": "application/json"}
    answer = client.ask("POST", "/command", '{"codifier": "A1", "flag": "H"}', far)
    assert answer.status == 401
    assert web.channel.sent == []


# Strangers


def test_a_stranger_beyond_this_machine_sees_nothing(make_web):
    web = make_web(proxies=("127.0.0.1",))
    client = Client(web.bound_port)
    for path in ("/sensor/", "/live", "/static/config.json", "/history/A1", "/ntp"):
        answer = client.get(path, X_Forwarded_For=FAR)
        assert answer.status == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert client.get(path.replace("/live", "/ntp")).status == 200, "at this machine"
    answer = client.get("/component/A1?x=1", X_Forwarded_For=FAR)
    assert answer.headers["Location"] == "/sign-in?next=/component/A1?x%3D1"
    page = client.get("/sign-in", X_Forwarded_For=FAR).text
    assert "Boiler" not in page
    assert client.get("/none", X_Forwarded_For=FAR).status == 404


def test_the_health_tells_a_stranger_only_whether_all_is_well(make_web):
    web = make_web(proxies=("127.0.0.1",))
    client = Client(web.bound_port)
    assert client.get("/healthz", X_Forwarded_For=FAR).json == {"status": "ok"}
    assert "interface" in client.get("/healthz").json


@pytest.mark.parametrize(
    ("setting", "here", "there"),
    [
        (None, 200, 401),
        (False, 401, 401),
        (True, 200, 200),
        (("10.1.0.0/16",), 401, 200),
        (("127.0.0.1", "10.9.0.0/16"), 200, 401),
    ],
)
def test_who_may_read_unsigned_is_a_setting(make_web, setting, here, there):
    web = make_web(proxies=("127.0.0.1",), anonymous_read=setting)
    client = Client(web.bound_port)
    assert client.get("/sensor/").status == here
    assert client.get("/sensor/", X_Forwarded_For=FAR).status == there
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)[1]
    assert client.command("A1", "H", csrf).status == 401, "to read is not to command"


def test_a_server_for_the_network_shows_nothing_to_this_machine_either(make_web):
    client = Client(make_web(host="0.0.0.0").bound_port)
    assert client.get("/sensor/").status == 401
    assert client.get("/").headers["Location"].startswith("/sign-in")
    assert "messages_per_minute" in client.get("/healthz").json, "which a sensor here may read"
    assert client.get("/healthz", Via="1.1 proxy").json == {"status": "ok"}


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Via", "Forwarded", "X_Real_IP"])
def test_who_comes_by_an_unnamed_proxy_is_not_at_this_machine(web, client, header):
    assert client.get("/sensor/", **{header: FAR}).status == 401
    assert client.get("/sensor/").status == 200


def test_a_mistake_in_the_addresses_is_named(make_web):
    from jph.errors import ConfigError

    with pytest.raises(ConfigError, match=r"AnonymousRead: .*10\.0\.0\.300"):
        make_web(anonymous_read=("10.0.0.300",))


# Tokens


@pytest.mark.parametrize("role", Role)
def test_a_token_has_its_role_and_needs_no_csrf_token(web, client, make_token, role):
    headers = {"Authorization": make_token(role), "Content-Type": "application/json"}
    body = json.dumps({"codifier": "A1", "flag": "H"})
    answer = client.ask("POST", "/command", body, headers)
    assert answer.status == (200 if role >= Role.OPERATOR else 403)
    assert "Set-Cookie" not in answer.headers
    assert client.cookies == {}


def test_a_token_is_the_password_of_basic_authentication_too(make_web, make_token):
    web = make_web(anonymous_read=False)
    token = make_token(Role.VIEWER).partition(" ")[2]
    client = Client(web.bound_port)
    for user in ("", "token", "any"):
        basic = b64encode(f"{user}:{token}".encode()).decode()
        assert client.get("/static/config.json", Authorization=f"Basic {basic}").status == 200
    assert client.get("/static/config.json").status == 401


def test_the_live_stream_takes_a_token(make_web, make_token):
    web = make_web(anonymous_read=False)
    with LiveReader(web.bound_port, headers={"Authorization": make_token(Role.VIEWER)}) as reader:
        assert reader.event()[0] == "snapshot"


@pytest.mark.parametrize("given", ["jph_", "jph_unknown", "jph_" + "x" * 5000])
def test_an_unknown_token_is_refused_also_where_strangers_may_read(client, given):
    answer = client.get("/sensor/", Authorization=f"Bearer {given}")
    assert answer.status == 401
    assert "unknown" in answer.json["error"]


def test_an_authorization_that_is_not_ours_is_left_to_the_proxy(client):
    for given in ("Basic YTpi", "Basic !", "Bearer eyJ.x.y", "Digest x=1", "Negotiate abc", "\xff"):
        assert client.get("/sensor/", Authorization=given).status == 200


def test_a_removed_token_and_one_that_ended_are_refused(client, make_token, monkeypatch):
    lasting, ending = make_token(Role.VIEWER), make_token(Role.VIEWER, days=1)
    assert client.get("/sensor/", Authorization=lasting).status == 200
    assert client.get("/sensor/", Authorization=ending).status == 200
    later_ms = tokens.time_now_ms() + tokens.DAY_MS
    monkeypatch.setattr(tokens, "time_now_ms", lambda: later_ms)
    assert client.get("/sensor/", Authorization=lasting).status == 200
    assert client.get("/sensor/", Authorization=ending).status == 401
    for token in tokens.all_tokens():
        assert tokens.remove(token.number).name == token.name
    assert client.get("/sensor/", Authorization=lasting).status == 401


def test_the_use_of_a_token_is_noted(client, make_token):
    token = make_token(Role.VIEWER)
    assert [found.seen_ms for found in tokens.all_tokens()] == [None]
    client.get("/sensor/", Authorization=token)
    assert tokens.all_tokens()[0].seen_ms


def test_only_the_hash_of_a_token_is_stored(make_token, tmp_path):
    token = make_token(Role.ADMIN).partition(" ")[2]
    assert token.encode() not in (tmp_path / "web.sqlite").read_bytes()


@pytest.mark.parametrize(
    ("name", "days", "reason"),
    [("", 1, "visible"), ("a\nb", 1, "visible"), ("x" * 65, 1, "64"), ("a", 0, "days")],
)
def test_a_token_that_cannot_be_is_refused(app, name, days, reason):
    with pytest.raises(ValueError, match=reason):
        tokens.make(name, Role.VIEWER, "test", days)


def test_a_page_of_another_site_cannot_use_a_token(web, client, make_token):
    headers = {"Authorization": make_token(Role.ADMIN), "Content-Type": "application/json"}
    body = json.dumps({"codifier": "A1", "flag": "H"})
    for site in ("cross-site", "same-site"):
        strange = {**headers, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert client.ask("POST", "/command", body, strange).status == 403
    assert web.channel.sent == []


def test_a_token_goes_before_a_cookie(web, sign_in, make_token):
    admin = sign_in(Role.ADMIN)
    body = json.dumps({"codifier": "A1", "flag": "H"})
    headers = {"Authorization": make_token(Role.VIEWER), "Content-Type": "application/json"}
    assert admin.ask("POST", "/command", body, headers).status == 403
    assert "Sign out" in admin.get("/").text, "and leaves the session alone"
