import pytest

from tests.web.client import Client
from web.security import host_names

PATHS = ("/", "/component/A1", "/sign-in", "/sensor/", "/healthz", "/static/css/jph.css", "/none")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_policies(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in headers


@pytest.mark.parametrize("path", ["/", "/component/A1", "/component/A3", "/sign-in", "/none"])
def test_no_page_has_script_or_style_in_it(owner, path):
    page = owner.get(path).text
    assert "style=" not in page
    assert "<style" not in page
    assert "onclick" not in page
    for script in page.split("<script")[1:]:
        assert ' src="/static/' in script.partition(">")[0]


def test_names_that_do_not_belong_to_this_server_are_refused(web, client):
    for name in ("evil.example", f"evil.example:{web.bound_port}", "127.0.0.1.evil.example", "x@y"):
        for path in ("/sensor/", "/live", "/"):
            assert client.get(path, Host=name).status in (400, 421)
    for name in ("localhost", f"localhost:{web.bound_port}", "127.0.0.1", "LOCALHOST", "[::1]"):
        assert client.get("/sensor/", Host=name).status == 200


def test_further_names_can_be_allowed(make_web):
    web = make_web(allowed_hosts=("pi.lan",))
    client = Client(web.bound_port)
    assert client.get("/sensor/", Host="pi.lan").status == 200
    assert client.get("/sensor/", Host=f"PI.lan:{web.bound_port}").status == 200
    assert client.get("/sensor/", Host="other.lan").status == 421


def test_a_server_for_the_network_goes_by_any_name_unless_some_are_listed():
    assert host_names("0.0.0.0", ()) is None
    assert host_names("192.168.1.5", ()) is None
    assert "pi.lan" in host_names("0.0.0.0", ("pi.lan",))
    assert host_names("::1", ()) == {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/command", "/enter/x"])
def test_every_post_needs_the_token(owner, path):
    assert owner.post(path, name="x").status == 403
    assert owner.post(path, name="x", csrf="").status == 403
    assert owner.post(path, name="x", csrf="\u00e4").status == 403


def test_a_session_without_a_token_has_none_that_fits(client):
    for token in ("", "-", "None"):
        answer = client.post("/sign-in", csrf=token, name="x", password="y")
        assert answer.status == 403
        assert "load it again" in answer.text, "the token is refused, not the password"


def test_a_huge_body_is_refused(client):
    token = client.token()
    assert client.post("/sign-in", csrf=token, name="x" * 100_000).status in (403, 413)


def test_files_outside_static_are_not_served(client):
    for path in ("/static/../setup.py", "/static/%2e%2e/setup.py", "/static//etc/passwd"):
        assert client.get(path).status == 404


def test_a_page_of_another_site_gets_nothing_but_may_link_here(client):
    strange = {"Sec_Fetch_Site": "cross-site"}
    assert client.get("/live", Sec_Fetch_Mode="no-cors", **strange).status == 403
    assert client.get("/sensor/", Sec_Fetch_Mode="cors", **strange).status == 403
    assert client.get("/", Sec_Fetch_Mode="navigate", **strange).status == 200
    assert client.get("/sensor/", Sec_Fetch_Site="same-origin").status == 200
