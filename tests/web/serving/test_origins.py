"""Scripts of other pages: what a browser lets them do is decided by these headers."""

import pytest

from jph.errors import ConfigError
from tests.web.api_v1.program import token_of
from tests.web.bus import obey
from tests.web.client import Client

PANEL = "https://panel.example:8443"


def asked(web, method, path, origin=PANEL, body=None, **headers):
    sent = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(web.bound_port).ask(method, path, body, sent)


@pytest.fixture
def web(make_web):
    web = make_web(origins=("HTTPS://Panel.Example:8443/",), anonymous_read=False)
    obey(web)
    return web


def test_a_preflight_needs_no_token(web):
    answer = asked(
        web,
        "OPTIONS",
        "/api/v1/components",
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="authorization",
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PANEL
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_named_origin_reads_and_commands_with_a_token(web):
    token = f"Bearer {token_of(web)}"
    answer = asked(web, "GET", "/api/v1/components", Authorization=token)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PANEL)
    assert "Origin" in answer.headers["Vary"]
    answer = asked(
        web,
        "POST",
        "/api/v1/components/A1/commands",
        body='{"command": "ping"}',
        Authorization=token,
        Content_Type="application/json",
    )
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PANEL)


def test_errors_can_be_read_too(web):
    answer = asked(web, "GET", "/api/v1/components")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, PANEL)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://panel.example"])
def test_other_origins_get_nothing(web, origin):
    token = f"Bearer {token_of(web)}"
    answer = asked(web, "GET", "/api/v1/components", origin, Authorization=token)
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = {"Access_Control_Request_Method": "GET"}
    answer = asked(web, "OPTIONS", "/api/v1/components", origin, **preflight)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_stay_closed_to_the_named_origin(web):
    token = f"Bearer {token_of(web)}"
    for path in ("/", "/sensor/", "/static/config.json"):
        answer = asked(web, "GET", path, Authorization=token)
        assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (403, None)


def test_no_origin_is_named_by_default(make_web):
    web = make_web()
    answer = asked(web, "OPTIONS", "/api/v1/components", Access_Control_Request_Method="GET")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" not in (answer.headers.get("Vary") or "")


@pytest.mark.parametrize("origin", ["panel.example", "ftp://x", "https://x/page", "*", "https://"])
def test_what_is_no_origin_is_a_mistake(make_web, origin):
    with pytest.raises(ConfigError, match="Origins"):
        make_web(origins=(origin,))
