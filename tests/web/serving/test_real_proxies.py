"""The examples of docs/home-network.md, tried: nginx and Caddy before the pages, with TLS."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.helpers import eventually, free_tcp_port
from tests.web.bus import reading
from web.app import Application
from web.people import users
from web.people.access import Role

pytestmark = pytest.mark.proxy

PAGE = (Path(__file__).parents[3] / "docs" / "home-network.md").read_text()
NAME = "home.example"
PASSWORD = "correct horse"


def program(name):
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    return shutil.which(name, path=path) or pytest.fail(f"no {name}: ./scripts/test installs it")


def examples(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
        *("-addext", f"subjectAltName=DNS:{NAME}"),
        *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


@contextmanager
def running(command, port, folder, **environment):
    """Run a proxy until it is not needed any more; it listens on a port of loopback."""
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | environment
        ) as process,
    ):

        def is_there():
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(is_there, 60)
            yield port
        finally:
            process.terminate()


@contextmanager
def nginx(folder, certificate, pages, example):
    port = free_tcp_port()
    server = (
        example.replace("listen 443", f"listen 127.0.0.1:{port}")
        .replace("/etc/ssl/home.example.pem", str(certificate / "cert.pem"))
        .replace("/etc/ssl/home.example.key", str(certificate / "key.pem"))
        .replace("127.0.0.1:8080", f"127.0.0.1:{pages}")
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} {server} }}\n"
    )
    command = [program("nginx"), "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]
    with running(command, port, folder):
        yield port


@contextmanager
def caddy(folder, certificate, pages, example):
    port = free_tcp_port()
    tls = f"\n    tls {certificate}/cert.pem {certificate}/key.pem\n"
    site = example.replace("127.0.0.1:8080", f"127.0.0.1:{pages}")
    site = site.replace(f"{NAME} {{\n", f"{NAME} {{{tls}", 1)
    (folder / "Caddyfile").write_text(
        f"{{\n    admin off\n    auto_https disable_redirects\n    skip_install_trust\n"
        f"    https_port {port}\n    default_bind 127.0.0.1\n}}\n{site}"
    )
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    places = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with running(command, port, folder, **places):
        yield port


CASES = [
    ("nginx", nginx, 0, "/jph"),
    ("caddy", caddy, 0, ""),
    ("caddy", caddy, 1, "/jph"),
]


@pytest.fixture(params=CASES, ids=["nginx below a path", "Caddy", "Caddy below a path"])
def site(request, make_web, tmp_path, certificate, monkeypatch):
    """Return pages behind a proxy, as the documents tell to set them up."""
    monkeypatch.setattr(users, "ROUNDS", 4)
    language, run, number, top = request.param
    (settings,) = (
        json.loads(example)["Sensor"] for example in examples("json") if "Proxies" in example
    )
    web = make_web(proxies=settings["Proxies"], allowed_hosts=settings["AllowedHosts"])
    with Application(web.home).app_context():
        users.set_password("anna", PASSWORD, Role.ADMIN)
    folder = tmp_path / "proxy"
    folder.mkdir()
    example = examples(language)[number]
    with run(folder, certificate, web.bound_port, example) as port:
        yield Site(web, port, top, certificate / "cert.pem")


class Site:
    """The pages as a browser finds them behind a proxy."""

    def __init__(self, web, port, top, trusted):
        self.web, self.port, self.top = web, port, top
        self.context = ssl.create_default_context(cafile=trusted)
        self.cookie = ""

    def connected(self):
        line = socket.create_connection(("127.0.0.1", self.port), 20)
        return self.context.wrap_socket(line, server_hostname=NAME)

    def ask(self, method, path, body=None, **headers):
        """Return the status, the headers and the text of an answer."""
        connection = http.client.HTTPConnection(NAME, self.port, timeout=20)
        connection.sock = self.connected()
        sent = {"Host": NAME, "Cookie": self.cookie, **headers}
        try:
            connection.request(method, self.top + path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if line := answer.headers.get("Set-Cookie"):
            self.cookie = line.partition(";")[0]
        return answer.status, answer.headers, text


def test_who_comes_from_the_network_has_to_sign_in(site):
    site.web._site.readers_unsigned = type(site.web._site.readers_unsigned)(())
    status, headers, _ = site.ask("GET", "/component/A1")
    assert (status, headers["Location"]) == (303, f"{site.top}/sign-in?next=/component/A1")
    assert site.ask("GET", "/sensor/")[0] == 401


def test_a_person_signs_in_and_commands(site):
    _, headers, page = site.ask("GET", "/sign-in")
    assert "; Secure" in headers["Set-Cookie"]
    assert f'href="{site.top}/static/css/jph.css"' in page
    token = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    form = urlencode({"csrf": token, "name": "anna", "password": PASSWORD})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    status, headers, _ = site.ask("POST", "/sign-in", form, **kind)
    assert (status, headers["Location"]) == (303, f"{site.top}/")
    status, _, page = site.ask("GET", "/component/A1")
    assert status == 200
    assert "anna" in page
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
    body = json.dumps({"codifier": "A1", "flag": "H"})
    json_kind = {"Content-Type": "application/json", "X-CSRF-Token": token}
    assert site.ask("POST", "/command", body, **json_kind)[0] == 200
    assert ("H", "A1", None) in site.web.channel.told
    _, _, page = site.ask("GET", "/settings/audit.csv")
    assert "anna,127.0.0.1,halt,A1" in page


def test_live_values_come_at_once(site):
    with site.connected() as line:
        request = (
            f"GET {site.top}/live HTTP/1.1\r\nHost: {NAME}\r\nAccept: text/event-stream\r\n\r\n"
        )
        line.sendall(request.encode())
        received = b""

        def read_until(text):
            nonlocal received
            while text not in received:
                data = line.recv(65536)
                assert data, received[-300:]
                received += data

        read_until(b"event: snapshot")
        for number in (11, 12, 13):
            site.web.on_batch([reading("A1", number + 0.25, sequence=number)])
            read_until(f"{number}.25".encode())
    eventually(lambda: site.web._site.readers.count == 0, 60)


def test_the_example_of_an_own_certificate_works(tmp_path):
    (command,) = re.findall(r"    (openssl req .*?)\n\n", PAGE, re.DOTALL)
    command = command.replace("\\\n", " ").replace("/etc/jph/", f"{tmp_path}/")
    subprocess.run(command, shell=True, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pi1.pem", tmp_path / "pi1.key")
