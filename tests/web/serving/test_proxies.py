import re

import pytest

from tests.web.client import Client, LiveReader
from web.serving.proxies import Proxies


def applied(named, **headers):
    environ = {"REMOTE_ADDR": "10.0.0.1", "PATH_INFO": "/component/A1", "wsgi.url_scheme": "http"}
    environ |= {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in headers.items()}
    Proxies(named).apply(environ)
    assert not [name for name in environ if name.startswith("HTTP_X_FORWARDED")]
    return environ


def test_a_stranger_is_not_believed():
    environ = applied(["10.0.0.2"], **{"for": "1.2.3.4"}, prefix="/x", proto="https")
    assert environ == {
        "REMOTE_ADDR": "10.0.0.1",
        "PATH_INFO": "/component/A1",
        "wsgi.url_scheme": "http",
        "jph.unnamed_proxy": True,
    }


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the stranger wrote the first one
        ("1.2.3.4, 10.0.0.7", "1.2.3.4"),  # two proxies of ours
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("1.2.3.4, unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_address_is_the_last_one_that_is_no_proxy(said, address):
    assert applied(["10.0.0.0/24"], **{"for": said})["REMOTE_ADDR"] == address


@pytest.mark.parametrize("path", ["/jph/component/A1", "/component/A1"])
def test_a_path_may_be_stripped_by_the_proxy_or_not(path):
    environ = {"REMOTE_ADDR": "::ffff:10.0.0.1", "PATH_INFO": path}
    environ["HTTP_X_FORWARDED_PREFIX"] = "/jph/"
    Proxies(["10.0.0.1"]).apply(environ)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/jph", "/component/A1")


@pytest.mark.parametrize("prefix", ["//evil.example", "jph", "/a\r\nb", '/"><script>', "/a b", "/"])
def test_a_path_that_is_none_is_ignored(prefix):
    assert "SCRIPT_NAME" not in applied(["10.0.0.1"], prefix=prefix)


def test_all_addresses_of_a_page_begin_with_the_path_of_the_proxy(make_web):
    web = make_web(proxies=("127.0.0.1",))
    client = Client(web.bound_port)
    prefix = {"X_Forwarded_Prefix": "/jph"}
    for path in ("/", "/component/A1", "/sign-in", "/none"):
        page = client.get(path, **prefix).text
        found = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page)
        assert found
        assert all(address.startswith("/jph/") for address in found)
    answer = client.ask("POST", "/command", "{}", {"X-Forwarded-Prefix": "/jph"})
    assert answer.status == 403
    client.follow_link(web.sign_in_url())
    assert client.get("/sign-in", **prefix).headers["Location"] == "/jph/"


def test_live_pages_are_counted_by_the_address_behind_the_proxy(make_web, monkeypatch):
    monkeypatch.setattr("web.site.MOST_READERS_OF_ADDRESS", 1)
    web = make_web(proxies=("127.0.0.1",), anonymous_read=True)
    with LiveReader(web.bound_port, headers={"X-Forwarded-For": "10.0.0.1"}) as one:
        one.event()
        answer = Client(web.bound_port).get("/live", X_Forwarded_For="10.0.0.1")
        assert answer.status == 429
        with LiveReader(web.bound_port, headers={"X-Forwarded-For": "10.0.0.2"}) as other:
            assert other.event()[0] == "snapshot"


def test_a_cookie_that_came_by_https_goes_by_https_alone(make_web):
    client = Client(make_web(proxies=("127.0.0.1",)).bound_port)
    safe = client.get("/sign-in", X_Forwarded_Proto="https").headers["Set-Cookie"]
    assert "; Secure" in safe
    client.cookies.clear()
    assert "; Secure" not in client.get("/sign-in").headers["Set-Cookie"]
