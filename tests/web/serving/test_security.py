import logging
import socket

import pytest

from tests.web.bus import both_servers
from tests.web.client import Client
from web.serving.security import host_names

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


ODD_HOSTS = [
    *(
        "a..b",
        ".a",
        "a.",
        "",
        "-a",
        "a-",
        "x" * 64,
        "a b",
        "a/b",
        "a,b",
        "[::1",
        "[::zz]",
        "::1",
        "a:b",
    ),
    *(
        "a:123456",
        "xn--a",
        "xn--\xff",
        "\xff",
        "a\x00b",
        "a_b",
        "..",
        "[]",
        "%",
        "localhost:",
        "127.0.0.1:x",
    ),
]
ODD_PATHS = [
    *(
        "/%",
        "/%zz",
        "/%00",
        "/%ff",
        "/component/%ff%fe",
        "/component/\xff\xff",
        "//",
        "///a",
        "/..;/",
    ),
    *(
        "/component/..",
        "/history/A1?from=%D9%A1",
        "/history/A1?points=1e3",
        "/history/A1?field=%00",
    ),
    *(
        "/live?codifier=%00",
        "/live?cards=%ff",
        "/sensorts/%7B",
        "/sensorts/[[[",
        "/ntp?t=nan",
        "/ntp?t=1e999",
    ),
    *(
        "/static/%00",
        "/static/../web.key",
        "/enter/%ff",
        "/sign-in?next=%00",
        "/sign-in?next=%ff",
        "*",
        "http://a..b/",
    ),
]
ODD_HEADERS = [
    *("Cookie: jph=\xff", "Cookie: ;;;=", "Cookie: jph-0=.eJw.x", "Cookie: " + "a=b; " * 2000),
    *("Accept-Encoding: gzip;q=\xff", "Accept-Encoding: *;q=nan", "Last-Event-ID: \xff-\xb2"),
    *(
        "Content-Type: multipart/form-data",
        "Content-Type: application/json",
        "Content-Type: \xff",
    ),
    *("Content-Length: -1", "Content-Length: x", "Transfer-Encoding: x", "Expect: y"),
    *("X-CSRF-Token: \xff", "Sec-Fetch-Site: \xff", "If-None-Match: \xff", "Range: bytes=9-1"),
    *(
        "If-Modified-Since: \xff",
        "X-Forwarded-For: \xff",
        "X-Forwarded-Prefix: //x",
        "X: a\x00b",
    ),
]


def ask_raw(web, request_line, *headers):
    """Return the status of the answer to a request that may be no request at all."""
    head = "\r\n".join([f"{request_line} HTTP/1.0", *headers, "", ""])
    with socket.create_connection(("127.0.0.1", web.bound_port), 10) as connection:
        connection.sendall(head.encode("latin-1"))
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def errors(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


@both_servers
@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
def test_an_invalid_host_is_no_error_of_ours(make_web, listening, caplog):
    web = make_web(host=listening)
    assert ask_raw(web, "GET /", "Host: a..b") == 400
    for host in ODD_HOSTS:
        assert 200 <= ask_raw(web, "GET /", f"Host: {host}") < 500, host
    assert ask_raw(web, "GET /", "Host: localhost", "Host: a") == 400
    assert errors(caplog) == []


@both_servers
def test_an_invalid_address_is_no_error_of_ours(web, caplog):
    for path in ODD_PATHS:
        assert 200 <= ask_raw(web, f"GET {path}", "Host: localhost") < 500, path
    assert errors(caplog) == []


@both_servers
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "X"])
def test_an_invalid_header_is_no_error_of_ours(web, method, caplog):
    for path in ("/", "/live", "/history/A1", "/command", "/sign-in"):
        for header in ODD_HEADERS:
            status = ask_raw(web, f"{method} {path}", "Host: localhost", header)
            is_unknown = header.startswith("Transfer-Encoding") and status == 501
            assert 200 <= status < 500 or is_unknown, (path, header, status)
    assert errors(caplog) == []
