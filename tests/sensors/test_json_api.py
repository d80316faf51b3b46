"""Answers of HTTP servers as sensors take them; tests/jph/test_http.py tests how they come."""

import subprocess
import sys
from pathlib import Path

import pytest

from jph import SensorError, tcp
from sensors import json_api
from tests.helpers import free_tcp_port
from tests.http_server import says

ROOT = Path(__file__).resolve().parents[2]


def failure(url: str, **more) -> str:
    with pytest.raises(SensorError) as caught:
        json_api.members(json_api.ask(url, timeout_s=20, **more))
    said = str(caught.value)
    assert said.startswith(tcp.shown(url) + ": ")
    return said.removeprefix(tcp.shown(url) + ": ")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(b"oh dear", 503), "answered 503 Service Unavailable"),
        (says(b"", 302), "answered 302 Found; redirects are not followed"),
        (says(b"", 204), "answered 204 No Content"),
        (says(b"", 401), "answered 401 Unauthorized; user and password are not sent"),
        (says(b"[1]"), "the answer is no object"),
        (says(b"[1"), "no JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
    ],
)
def test_a_bad_answer_is_one_line(server, answer, reason):
    server.answers["*"] = answer
    url = server.url.replace("//", "//someone@") + "/x?token=secret#secret"
    assert failure(url) == reason


def test_no_answer_is_one_line(server):
    server.answers["*"] = says(b"{}" + b" " * 2000)
    assert failure(server.url, most_bytes=1000) == "answer of more than 1000 bytes"
    assert failure(f"http://127.0.0.1:{free_tcp_port()}/") == "Connection refused"


def test_an_answer_is_an_object(server):
    server.answers["*"] = says(b'{"a": "\xe9"}', content_type="text/json; charset=ISO-8859-1")
    assert json_api.members(json_api.ask(server.url, timeout_s=20)) == {"a": "é"}


def test_what_cannot_be_sent_is_one_line_without_a_secret(server):
    reason = "the address or a header cannot be sent"
    assert failure(f"http://{'a' * 70}.invalid/") == reason
    with pytest.raises(SensorError, match=reason) as caught:
        json_api.ask(server.url, timeout_s=20, headers={"Authorization": "sec\nret"})
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "secure", "mistake"),
    [
        ("ftp://127.0.0.1/", False, "URL: must begin with"),
        ("http:///x", False, "URL: must begin with"),
        ("nonsense", False, "URL: must begin with"),
        ("http://127.0.0.1:99999/", False, "URL: is no address"),
        ("http://[::1/", False, "URL: is no address"),
        ("http://192.0.2.1/", True, "URL: must begin with https://"),
    ],
)
def test_other_addresses_are_mistakes(url, secure, mistake):
    with pytest.raises(ValueError, match=mistake):
        json_api.check(url, "URL", secure=secure)


def test_addresses_that_are_in_order():
    json_api.check("http://[::1]:80/x?y", "URL", secure=True)
    json_api.check("https://example.org", "URL", secure=True)
    json_api.check("http://192.0.2.1/", "URL")


def test_only_a_question_loads_urllib3():
    program = "import sys, sensors.dwarfpool, sensors.json_http, sensors.nest, sensors.zwave\n"
    program += "print('urllib3' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("False\n", "")
