"""Tests of all pages below a path of a proxy: every link stays there, and leads somewhere."""

import json
import re
from dataclasses import replace
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest

from tests.helpers import new_bus
from tests.web.bus import component, reading
from tests.web.client import Client
from tests.web.conftest import COMPONENTS
from tests.web.proxy import PathProxy

TOP = "/home/jph"
MOST = 400  # pages
ADDRESS = re.compile(r'\b(?:href|src|action|data-href|data-src|poster)="([^"]*)"')
IMPORT = re.compile(
    r"""^(?:import|export)\b(?:[^;'"()]*?\bfrom)?\s*['"](\.{1,2}/[^'"]+)['"]"""
    r"""|\bimport\(\s*['"](\.{1,2}/[^'"]+)['"]""",
    re.MULTILINE,
)
# A path from the root in a script leads out of the prefix: scripts begin with ROOT.
ROOTED = re.compile(r"""(?:fetch|request|EventSource|assign|open|import)\(\s*['"`](/[^'"`]*)""")


@pytest.fixture
def below(make_web, tmp_path):
    """Return a proxy that passes on what is below a path, and a browser that is signed in there."""
    web = make_web(
        *COMPONENTS, component("F1", control_enabled=True, type="Fan"), proxies=("127.0.0.1",)
    )
    path = tmp_path / "network.json"
    pages = {"Codifier": "W1", "Type": "Web"}
    path.write_text(json.dumps(new_bus().document({"Codifier": "A1", "Type": "Simulated"}, pages)))
    web.channel.process.config = replace(web.channel.process.config, source=str(path))
    web.on_batch([reading("A1", 1.5), reading("A3", "warm")])
    with PathProxy(TOP, web.bound_port) as proxy:
        client = Client(proxy.port)
        link = TOP + urlsplit(web.sign_in_url()).path
        client.post(link, csrf=client.token(link))
        yield client


def links(page, path):
    """Return the paths that a page or a script names."""
    found = [unescape(one) for one in ADDRESS.findall(page)]
    if path.endswith(".js"):
        found = [first or second for first, second in IMPORT.findall(page)]
    for one in found:
        if one.startswith(("#", "data:", "mailto:")) or not one:
            continue
        address = urlsplit(urljoin(f"http://host{path}", one))
        if address.netloc == "host":
            yield address.path + (f"?{address.query}" if address.query else "")


def test_all_links_of_all_pages_stay_below_the_path_and_lead_somewhere(below):
    waiting, seen, wrong = [f"{TOP}/", f"{TOP}/welcome"], set(), []
    while waiting and len(seen) < MOST:
        path = waiting.pop(0)
        if path.partition("?")[0] in seen:
            continue
        seen.add(path.partition("?")[0])
        if re.search(r"/live|/settings/backup/file|\.(?:png|jpe?g|svg|ico|woff2?)$", path):
            continue
        answer = below.get(path)
        if answer.status in (301, 302, 303, 307, 308):
            waiting.append(urljoin(path, answer.headers["Location"]))
            continue
        if answer.status not in (200, 405):  # 405: the action of a form
            wrong.append(f"{path}: {answer.status}")
            continue
        kind = answer.headers["Content-Type"].partition(";")[0]
        if kind not in ("text/html", "text/javascript", "application/javascript"):
            continue
        for rooted in ROOTED.findall(answer.text) if "script" in kind else ():
            wrong.append(f"{path} asks for {rooted}")
        for link in links(answer.text, path):
            if not link.startswith(f"{TOP}/"):
                wrong.append(f"{path} leads to {link}")
            elif not link.startswith(f"{TOP}/static/vendor/"):
                waiting.append(link)
    assert wrong == []
    asked = {"/", "/component/A1", "/settings/people", "/static/js/live.js"}  # by an import
    assert {TOP + path for path in asked} <= seen


def test_every_redirect_stays_below_the_path(below):
    for path in ("/login", "/settings/sessions", "/dashboard", "/diagram", "/devel", "/logview"):
        answer = Client(below.port).get(TOP + path)
        place = answer.headers.get("Location", f"{TOP}/")
        assert urlsplit(place).path.startswith(f"{TOP}/"), path
        assert urlsplit(place).netloc in ("", f"127.0.0.1:{below.port}"), path


@pytest.mark.parametrize("prefix", ["//evil.example", "/a//b", "/a b", '/"><script>', "x", "/%2e"])
def test_a_prefix_that_is_no_path_counts_for_nothing(make_web, prefix):
    client = Client(make_web(proxies=("127.0.0.1",)).bound_port)
    page = client.get("/", X_Forwarded_Prefix=prefix).text
    assert 'href="/static/css/jph.css"' in page
    assert "evil" not in page
