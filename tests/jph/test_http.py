"""The HTTP client, against real servers that answer well, badly, slowly or never."""

import contextlib
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import http, tcp
from jph.errors import HttpError
from tests.certificates import make_certificate
from tests.helpers import free_tcp_port, naming
from tests.http_server import Server, endless, running, says, trickles

OK = b"HTTP/1.1 200 OK\r\n"


def get(url: str, deadline_s: float = 20.0, most_bytes: int = 1000, **more) -> http.Answer:
    return http.request("GET", url, deadline_s=deadline_s, most_bytes=most_bytes, **more)


def failure(url: str, deadline_s: float = 20.0, **more) -> str:
    with pytest.raises(HttpError) as caught:
        get(url, deadline_s, **more)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_an_answer_has_body_and_charset(server):
    server.answers["/a?b=c%20d"] = says(b"\xe9", content_type="text/plain; charset=ISO-8859-1")
    answer = get(server.url + "/a?b=c%20d")
    assert (answer.status, answer.body, answer.charset) == (200, b"\xe9", "iso-8859-1")
    assert answer.address == server.url + "/a"
    ((method, path, headers, body),) = server.asked
    assert (method, path, body) == ("GET", "/a?b=c%20d", b"")
    assert headers["Host"] == server.url.removeprefix("http://")
    assert headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/json", None),
        ("text/json;CHARSET=UTF-8", "utf-8"),
        ('text/json; x=y; charset="Windows-1252"; z', "windows-1252"),
        ("text/json; charset=", None),
        ("text/json; charset*=a; charset*0=b", None),
        ("text/json; charset*=\x01''b", None),
    ],
)
def test_the_charset_of_any_content_type(server, content_type, charset):
    server.answers["*"] = says(b"{}", content_type=content_type)
    answer = get(server.url)
    assert (answer.charset, answer.body) == (charset, b"{}")


def test_what_may_not_stand_in_a_request_line_is_quoted(server):
    server.answers["*"] = says(b"")
    get(server.url + "/Küche oben?raum=Büro")
    assert server.asked[0][1] == "/K%C3%BCche%20oben?raum=B%C3%BCro"


def test_a_body_and_headers_are_sent(server):
    server.answers["*"] = says(b"yes", 201)
    answer = http.request(
        "POST",
        server.url,
        deadline_s=20,
        most_bytes=1000,
        headers={"Content-Type": "text/x"},
        body=b"a=1",
    )
    assert (answer.status, answer.body) == (201, b"yes")
    method, path, headers, body = server.asked[0]
    assert (method, path, body) == ("POST", "/", b"a=1")
    assert (headers["Content-Type"], headers["Content-Length"]) == ("text/x", "3")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            lambda handler: handler.wfile.write(b"HTTP/3 200 OK\r\n\r\n"),
            "answers with invalid HTTP: HTTP/3",
        ),
        (endless(OK + b"Content-Encoding: GZip\r\n\r\n"), "answers compressed, as gzip, unasked"),
        (says(b"half", length=10), "breaks off 6 bytes before its end"),
        (says(b" " * 1001), "answer of more than 1000 bytes"),
        (endless(OK + b"\r\n"), "answer of more than 1000 bytes"),
        (endless(OK + b"Content-Length: 104857600\r\n\r\n"), "answer of more than 1000 bytes"),
        (
            endless(OK + b"X: "),
            "answers with invalid HTTP: got more than 65536 bytes when reading header line",
        ),
        (
            lambda handler: handler.wfile.write(b"SSH-2.0-x\n" * 9),
            "answers with invalid HTTP: SSH-2.0-x",
        ),
        (lambda handler: None, "Remote end closed connection without response"),
        (
            lambda handler: handler.wfile.write(
                OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"
            ),
            "breaks off before its end",
        ),
        (
            lambda handler: handler.wfile.write(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n"),
            "answers with invalid HTTP: read length must be non-negative or -1",
        ),
    ],
)
def test_a_bad_answer_is_one_line(server, answer, reason):
    server.answers["*"] = answer
    assert failure(server.url + "/x") == reason


@given(
    st.sampled_from(
        [
            b"",
            b"HTTP/1.1 ",
            OK,
            OK + b"Content-Length: ",
            OK + b"Transfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n",
        ]
    ),
    st.text("-+059a,:;/[] \r\n\0\xff").map(lambda text: text.encode("latin-1")),
)
def test_any_bytes_are_an_answer_or_one_line(server, beginning, rest):
    server.answers["*"] = lambda handler: handler.wfile.write(beginning + rest)
    with contextlib.suppress(HttpError):  # and nothing else, whatever the bytes
        get(server.url)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 200 ",
        OK + b"X-Long: ",
        OK + b"\r\n",
        OK + b"Content-Length: 9999\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1",
    ],
)
def test_an_answer_that_comes_byte_by_byte_ends_with_the_timeout(server, beginning):
    server.answers["*"] = trickles(beginning, b"0")
    began_s = time.monotonic()
    said = failure(server.url, 0.5)
    assert time.monotonic() - began_s < 10  # one byte every 20 ms goes on for ever
    assert said == "no answer within 0.5 s"


def test_a_refusal_needs_no_end(server):
    server.answers["*"] = trickles(b"HTTP/1.1 500 Oh\r\nContent-Length: 9999\r\n\r\n")
    answer = get(server.url, 0.5)
    assert (answer.status, answer.reason) == (500, "Oh")


@pytest.mark.parametrize("beginning", [b"", OK + b"\r\n"])
def test_silence_ends_with_the_longest_wait_for_the_next_bytes(server, beginning):
    def answer(handler):
        handler.wfile.write(beginning)
        handler.server.stopped.wait()

    server.answers["*"] = answer
    assert failure(server.url, 20.0, step_s=0.2) == "no answer within 0.2 s"


def test_a_server_that_takes_nothing_costs_no_more_than_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(HttpError, match=r"no answer within 0\.3 s"):
            http.request("POST", url, deadline_s=0.3, most_bytes=1000, body=bytes(50_000_000))


def test_nobody_there_is_one_line():
    assert failure(f"http://127.0.0.1:{free_tcp_port()}/") == "Connection refused"


@pytest.mark.parametrize(
    "url",
    [f"http://{'a' * 70}.invalid/", "http://127.0.0.1:port/", "http://[::1/", "http://a b/"],
)
def test_what_is_no_address_is_a_mistake_of_the_caller(url):
    with pytest.raises(ValueError):
        get(url)


def test_a_header_of_two_lines_is_a_mistake_of_the_caller(server):
    with pytest.raises(ValueError):
        get(server.url, headers={"Authorization": "sec\nret"})
    assert server.asked == []


def test_secrets_are_neither_in_errors_nor_in_the_log(server, caplog):
    caplog.set_level("DEBUG")
    server.answers["*"] = endless(OK + b"no header\r\n\r\n")
    url = server.url.replace("//", "//someone@") + "/x?token=secret#secret"
    assert failure(url) == "answer of more than 1000 bytes"
    assert "Authorization" not in server.asked[0][2]
    assert caplog.messages == []


def moved(location: str, status: int = 302):
    """Return an answer that redirects."""

    def answer(handler):
        handler.send_response(status)
        handler.send_header("Location", location)
        handler.end_headers()

    return answer


def test_a_redirect_to_a_file_is_not_followed(server):
    server.answers["*"] = moved("file:///etc/passwd")
    assert get(server.url, redirects=3).status == 302
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_if_one_is_allowed(server, status):
    server.answers.update({"/a/b": moved("../c?d", status), "/c?d": says(b"1")})
    first = get(server.url + "/a/b")
    assert (first.status, first.body) == (status, b"")
    then = get(server.url + "/a/b", headers={"X": "secret"}, redirects=1)
    assert (then.status, then.body, then.address) == (200, b"1", server.url + "/c")
    assert ["X" in headers for _, _, headers, _ in server.asked] == [False, True, False]


def test_redirects_come_to_an_end(server):
    server.answers["*"] = moved("/again")
    assert get(server.url, redirects=3).status == 302
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://127.0.0.1:99999/", f"http://{'a' * 70}/", "http://a b/"]
)
def test_a_redirect_to_what_is_no_address_is_a_fault_of_the_server(server, location):
    server.answers["*"] = moved(location)
    assert failure(server.url, redirects=3).startswith("answers with invalid HTTP: ")
    assert get(server.url).status == 302


def test_proxies_of_the_environment_are_not_asked(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_tcp_port()}")
    server.answers["*"] = says(b"1")
    assert get(server.url).body == b"1"


def test_a_device_that_comes_back_is_read_again():
    first = Server()
    first.answers["*"] = says(b"1")
    port = first.server_port
    with running(first):
        assert get(first.url).body == b"1"
    assert failure(first.url) == "Connection refused"
    again = Server(port)
    again.answers["*"] = says(b"2")
    with running(again):
        assert get(first.url).body == b"2"


def test_no_descriptor_is_left_open(server):
    server.answers.update({"/good": says(b"1"), "/slow": trickles(OK), "/long": says(b" " * 2000)})
    get(server.url + "/good")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        get(server.url + "/good")
        failure(server.url + "/slow", 0.1)
        failure(server.url + "/long")
        failure(f"http://127.0.0.1:{free_tcp_port()}/")
    server.stopped.set()
    until_s = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until_s:
        time.sleep(0.01)  # those of the server's threads
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """Return a file with a key and a certificate of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key = make_certificate(folder, "127.0.0.1")
    both = folder / "both.pem"
    both.write_text(key.read_text() + chain.read_text())
    return both


@pytest.fixture
def secure(server, certificate):
    """Yield a server with TLS, whose certificate is that of nobody the system knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.url = server.url.replace("http:", "https:")
    tcp.trust.cache_clear()
    yield server
    tcp.trust.cache_clear()


def test_a_certificate_that_the_system_does_not_know_is_refused(secure):
    secure.answers["*"] = says(b"1")
    said = failure(secure.url)
    assert said.startswith("its certificate is not accepted: self")
    assert secure.asked == []


def test_a_certificate_that_the_system_knows_is_accepted(secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure.answers["*"] = says(b"1")
    secure.answers["/slow"] = trickles(OK)
    assert get(secure.url).body == b"1"
    assert failure(secure.url + "/slow", 1.0) == "no answer within 1 s"
    assert failure(secure.url.replace("127.0.0.1", "localhost")).startswith(
        "its certificate is not accepted: "
    )


def test_a_named_file_of_certificates_is_accepted_in_place_of_the_system_s(
    secure, certificate, tmp_path
):
    secure.answers["*"] = says(b"1")

    def ask(path) -> bytes:
        return http.request("GET", secure.url, deadline_s=20, most_bytes=10, ca_file=str(path)).body

    assert ask(certificate) == b"1"
    (tmp_path / "empty.pem").write_text("no certificate")
    for path in (tmp_path / "empty.pem", tmp_path / "none.pem"):
        with pytest.raises(HttpError, match=naming(str(path), "CA file")):
            ask(path)
    with pytest.raises(HttpError, match="certificate is not accepted"):
        ask(make_certificate(tmp_path, "other")[0])


def test_a_handshake_that_never_ends_costs_no_more_than_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}/"
        assert failure(url, 0.3) == "no answer within 0.3 s"


@pytest.fixture
def silent():
    """Yield an address that never answers: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()


def found(*places):
    """Return what stands in for the look-up of a host name and finds these."""
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in places]


def test_all_addresses_of_a_host_share_the_time(silent, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", found(*[silent] * 5))
    began_s = time.monotonic()
    with pytest.raises(OSError):
        tcp.connect("many", 1, time.monotonic() + 1.0)
    assert time.monotonic() - began_s < 4.5  # five times as long without a common deadline


def test_an_address_that_never_answers_leaves_time_for_the_next(server, silent, monkeypatch):
    server.answers["*"] = says(b"1")
    place = server.server_address
    monkeypatch.setattr(socket, "getaddrinfo", found(silent, place))
    assert get("http://two.example/", 4.0).body == b"1"


def test_several_threads_at_once(server):
    server.answers["*"] = says(b"1")
    bodies = []
    threads = [
        threading.Thread(target=lambda: bodies.append(get(server.url).body)) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [b"1"] * 10
