"""The pages over TLS by certificate files: requests, live streams, and what breaks them."""

import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest

from jph.errors import ConfigError
from tests.certificates import make_certificate
from tests.helpers import eventually
from tests.web.api_v1.program import stores
from tests.web.bus import reading
from web.serving import tls


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"), "first")


@pytest.fixture
def secure(make_web, files):
    return make_web(certificate=files[0], key=files[1])


def trusting(chain):
    return ssl.create_default_context(cafile=chain)


def connection(web, chain):
    return http.client.HTTPSConnection(
        "127.0.0.1", web.bound_port, timeout=20, context=trusting(chain)
    )


def ask(web, chain, path, headers=None):
    """Return status, headers and body of one answer."""
    with closing(connection(web, chain)) as line:
        line.request("GET", path, headers=headers or {})
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()


class Stream:
    """A live stream over TLS."""

    def __init__(self, web, chain):
        plain = socket.create_connection(("127.0.0.1", web.bound_port), 20)
        self.line = trusting(chain).wrap_socket(plain, server_hostname="127.0.0.1")
        self.line.sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self.file = self.line.makefile("rb")
        self.status = int(self.file.readline().split()[1])

    def close(self):
        self.file.close()
        self.line.close()

    def until(self, text):
        """Read on until a line holds a text."""
        for line in self.file:
            if text in line:
                return line
        raise EOFError


def test_the_address_is_one_of_https(secure):
    assert secure.address == f"https://127.0.0.1:{secure.bound_port}/"
    assert secure.sign_in_url().startswith("https://")


def test_pages_files_and_data_are_served_on_one_connection(secure, files):
    paths = ("/", "/static/css/jph.css", "/sensor/", "/none", "/static/js/chart.js", "/healthz")
    with closing(connection(secure, files[0])) as line:
        for _ in range(3):
            for path in paths:
                line.request("GET", path)
                answer = line.getresponse()
                body = answer.read()
                assert answer.status == (404 if path == "/none" else 200)
                assert len(body) == int(answer.headers["Content-Length"])


def test_cookies_are_for_https_alone(secure, files):
    _, headers, _ = ask(secure, files[0], "/sign-in")
    assert "; Secure" in headers["Set-Cookie"]


def test_many_browsers_at_once_get_whole_answers(secure, files):
    wrong = []

    def browse():
        try:
            with closing(connection(secure, files[0])) as line:
                for _ in range(20):
                    line.request("GET", "/static/css/jph.css")
                    body = line.getresponse().read()
                    if not body.rstrip().endswith(b"}"):
                        wrong.append(body[-40:])
        except OSError as error:
            wrong.append(error)

    threads = [threading.Thread(target=browse) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_requests_that_come_in_one_record_are_all_answered(secure, files):
    plain = socket.create_connection(("127.0.0.1", secure.bound_port), 20)
    with trusting(files[0]).wrap_socket(plain, server_hostname="127.0.0.1") as line:
        padding = "x" * 6000  # together more than waitress reads at once
        one = f"GET /ntp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Padding: {padding}\r\n\r\n"
        line.sendall((one * 2).encode())
        received = b""
        while received.count(b'"client"') < 2:
            data = line.recv(4096)
            assert data, received
            received += data


def test_a_live_stream_gets_every_change_and_ends_with_its_reader(secure, files):
    stream = Stream(secure, files[0])
    assert stream.status == 200
    stream.until(b"event:")
    for value in (11.5, 12.5, 13.5):
        secure.on_batch([reading("A1", value, sequence=int(value))])
        assert stream.until(str(value).encode())
    assert secure._site.readers.count == 1
    stream.close()
    secure.on_batch([reading("A1", 14.5, sequence=14)])
    eventually(lambda: secure._site.readers.count == 0)
    eventually(lambda: secure._site.connections.count == 0)


def test_many_live_streams_come_and_go_beside_other_requests(secure, files):
    with closing(Stream(secure, files[0])) as stream:  # the server is complete after the first one
        stream.until(b"event:")
    eventually(lambda: secure._site.readers.count == secure._site.connections.count == 0)
    before = len(os.listdir("/proc/self/fd"))
    for round_number in range(3):
        with ExitStack() as stack:
            streams = [stack.enter_context(closing(Stream(secure, files[0]))) for _ in range(30)]
            assert {stream.status for stream in streams} == {200}
            value = 100.5 + round_number
            secure.on_batch([reading("A1", value, sequence=100 + round_number)])
            for stream in streams:
                stream.until(str(value).encode())
            assert ask(secure, files[0], "/sensor/")[0] == 200
        eventually(lambda: secure._site.readers.count == 0)
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_a_stream_that_reads_nothing_is_dropped(make_web, files):
    web = make_web(certificate=files[0], key=files[1], stalled_reader_s=0.5)
    with closing(Stream(web, files[0])) as stream:
        stream.until(b"event:")
        deadline_s = time.monotonic() + 60
        number = 0
        while web._site.readers.count and time.monotonic() < deadline_s:
            number += 1
            web.on_batch([reading("A3", "x" * 1000 + str(number), sequence=number)])
            time.sleep(0.005)
        assert web._site.readers.count == 0


def test_who_never_ends_the_handshake_delays_nobody(secure, files):
    with ExitStack() as stack:
        for start in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            line = socket.create_connection(("127.0.0.1", secure.bound_port), 20)
            stack.enter_context(closing(line))
            line.sendall(start)
        assert ask(secure, files[0], "/healthz")[0] == 200


@pytest.mark.parametrize("sent", [b"\x00" * 600, b"SSH-2.0-x\r\n", os.urandom(3000)])
def test_what_is_no_tls_is_closed(secure, files, sent):
    with socket.create_connection(("127.0.0.1", secure.bound_port), 20) as line:
        line.sendall(sent)
        with suppress(ConnectionResetError):
            while line.recv(4096):
                pass
    assert ask(secure, files[0], "/healthz")[0] == 200


def test_who_asks_by_http_is_told(secure):
    with socket.create_connection(("127.0.0.1", secure.bound_port), 20) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with line.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 400")
            assert b"https" in answer.read()


def test_a_renewed_certificate_is_used_without_a_restart(make_web, tmp_path, monkeypatch):
    monkeypatch.setattr(tls, "LOOK_S", 0.0)
    first, second = (make_certificate(tmp_path, name) for name in ("old", "new"))
    chain, key = tmp_path / "used.pem", tmp_path / "used.key"
    for target, source in zip((chain, key), first, strict=True):
        target.write_bytes(source.read_bytes())
    web = make_web(certificate=chain, key=key)
    assert ask(web, first[0], "/healthz")[0] == 200
    chain.write_bytes(second[0].read_bytes())  # its key is not there yet
    assert ask(web, first[0], "/healthz")[0] == 200
    key.write_bytes(second[1].read_bytes())
    assert ask(web, second[0], "/healthz")[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(web, first[0], "/healthz")


def test_files_that_cannot_be_used_are_named(make_web, files, tmp_path):
    chain, key = files
    other = make_certificate(tmp_path, "other")[1]
    locked = make_certificate(tmp_path, "locked", password="secret")
    for settings, words in (
        ({"certificate": chain}, "go together"),
        ({"key": key}, "go together"),
        ({"certificate": tmp_path / "none", "key": key}, "none cannot be read"),
        ({"certificate": chain, "key": other}, "no certificate with its key"),
        ({"certificate": key, "key": chain}, "no certificate with its key"),
        ({"certificate": locked[0], "key": locked[1]}, "without a password"),
        ({"certificate": chain, "key": key, "server": "gevent"}, "speaks no TLS"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            make_web(**settings)


def test_answers_are_json_as_without_tls(secure, files):
    assert json.loads(ask(secure, files[0], "/ntp?t=5")[2])["client"] == 5


def test_an_export_waits_for_its_reader_and_nobody_waits_for_the_export(secure, files):
    start_ms, count = 1_795_000_000_000, 60_000
    stores(secure)(*(("A1", start_ms + n, n / 3) for n in range(count)))
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", secure.bound_port))
    path = f"/api/v1/history/A1?format=ndjson&from={start_ms}&to={start_ms + count}"
    with trusting(files[0]).wrap_socket(plain, server_hostname="127.0.0.1") as slow:
        slow.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        eventually(lambda: secure._site.exports.places.count == 1)
        for _ in range(3):
            assert ask(secure, files[0], "/api/v1/components")[0] == 200
        assert secure._site.exports.places.count == 1  # its time is not over yet
        received = bytearray()
        while data := slow.recv(65_536):
            received += data
    body = bytes(received).partition(b"\r\n\r\n")[2]
    times = [json.loads(line)["time"] for line in body.splitlines()]
    assert times == list(range(start_ms, start_ms + count))
