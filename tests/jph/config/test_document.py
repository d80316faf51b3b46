import contextlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jph.config import document
from jph.errors import ConfigError
from tests.http_server import says


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked may have had enough
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.answer = (200, {"Content-Type": "application/json"}, b"{}")
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}/config.json"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refusal(source):
    with pytest.raises(ConfigError) as caught:
        document.read(str(source))
    return caught.value


def test_a_file_is_read(tmp_path):
    (tmp_path / "config.json").write_bytes(b"{}")
    assert document.read(str(tmp_path / "config.json")) == b"{}"


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path, monkeypatch):
    assert refusal(tmp_path / "none.json").mistakes == ["there is no such file"]
    assert refusal(tmp_path).mistakes == ["cannot be read: Is a directory"]
    monkeypatch.setattr(document, "MAX_SIZE", 1 << 20)
    (tmp_path / "large.json").write_bytes(b" " * ((1 << 20) + 1))
    assert refusal(tmp_path / "large.json").mistakes == ["is larger than 1 MiB"]


def test_a_url_is_fetched(site):
    site.answer = (200, {}, b'{"a": 1}')
    assert document.read(site.url) == b'{"a": 1}'
    assert site.asked == ["/config.json"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}, b""), "answers 404 Not Found"),
        ((503, {}, b""), "answers 503 Service Unavailable"),
        ((200, {"Content-Type": "text/html"}, b"{}"), "answers with a page, not with JSON"),
        ((200, {"Content-Length": "9"}, b"{}"), "cannot be fetched: breaks off 7 bytes"),
        ((200, {}, b" " * 1001), "cannot be fetched: answer of more than 1000 bytes"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "answers 302"),
    ],
)
def test_an_answer_that_is_no_document_is_unreachable(site, monkeypatch, answer, reason):
    monkeypatch.setattr(document, "MAX_SIZE", 1000)
    site.answer = answer
    error = refusal(site.url)
    assert isinstance(error, document.Unreachable)
    assert str(error).startswith(f"{site.url}: {reason}")


def test_a_redirect_is_followed(site, server):
    server.answers["/here"] = says(b"[]")
    site.answer = (301, {"Location": f"{server.url}/here"}, b"")
    assert document.read(site.url) == b"[]"


def test_a_token_goes_to_the_server_of_the_configuration_alone(site, server, tmp_path, monkeypatch):
    token = tmp_path / "token"
    monkeypatch.setenv("JPH_TOKEN_FILE", str(token))
    assert "JPH_TOKEN_FILE" in refusal(site.url).mistakes[0]
    token.write_text("jph_secret\nanything\n")
    server.answers["/config.json"] = lambda handler: (
        handler.send_response(301),
        handler.send_header("Location", f"{server.url}/here"),
        handler.end_headers(),
    )
    server.answers["/here"] = says(b"[]")
    assert document.read(f"{server.url}/config.json") == b"[]"
    headers = {path: headers.get("Authorization") for _, path, headers, _ in server.asked}
    assert headers == {"/config.json": "Bearer jph_secret", "/here": None}


@pytest.mark.parametrize("status", [401, 403])
def test_pages_that_are_closed_say_what_a_node_needs(site, tmp_path, monkeypatch, status):
    site.answer = (status, {}, b"")
    assert "wants a token" in refusal(site.url).mistakes[0]
    (tmp_path / "token").write_text("jph_old\n")
    monkeypatch.setenv("JPH_TOKEN_FILE", str(tmp_path / "token"))
    error = refusal(site.url)
    assert isinstance(error, document.Unreachable), "a copy takes its place"
    assert "refuses the token" in str(error)
    assert "jph_old" not in str(error)


def test_a_server_that_is_not_there_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert refusal(url).mistakes == ["cannot be fetched: Connection refused"]


def test_a_server_that_keeps_silent_is_unreachable(monkeypatch):
    monkeypatch.setattr(document, "STEP_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = refusal(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert isinstance(error, document.Unreachable)
    assert "no answer within 0.05 s" in str(error)


def test_an_answer_that_drips_is_given_up(site, monkeypatch):
    monkeypatch.setattr(document, "FETCH_TIMEOUT_S", -1.0)
    assert isinstance(refusal(site.url), document.Unreachable)


def test_what_is_no_url_is_refused_for_good():
    error = refusal("http://127.0.0.1:port/")
    assert not isinstance(error, document.Unreachable)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (b'{"a": 1,\n "b" 2}', "line 2, column 6: not JSON: Expecting ':' delimiter"),
        (b"", "line 1, column 1: not JSON: Expecting value"),
        (b'{"a": NaN}', "not JSON: NaN is no JSON number"),
        (b'\n{"a": "\xff"}', "line 2: is not UTF-8"),
        (b'{"a": "\\ud800"}', "holds half of a surrogate pair (\\ud800 to \\udfff)"),
        (b"[" * 100_000, "not JSON: nested too deeply"),
        (b'{"a": 1, "a": 2}', "a: this key stands twice"),
        (b'{"a": [{"b": {"c": 1, "c": 1}}]}', "a[0].b.c: this key stands twice"),
    ],
)
def test_what_is_no_strict_json_is_refused_with_its_place(text, mistake):
    with pytest.raises(ConfigError) as caught:
        document.parse(text, "config.json")
    assert caught.value.mistakes == [mistake]
    assert str(caught.value) == f"config.json: {mistake}"


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(ConfigError, match="not JSON"):
        document.parse(b"[" + b"1" * 10_000 + b"]")


def test_json_is_parsed_with_a_byte_order_mark_and_any_text():
    assert document.parse('\ufeff{"°": "\\ud83d\\ude00"}'.encode()) == {"°": "\U0001f600"}


def test_every_value_has_a_path():
    assert dict(document.walk({"a": [1, {"b": 2}]})) == {
        "": {"a": [1, {"b": 2}]},
        "a": [1, {"b": 2}],
        "a[0]": 1,
        "a[1]": {"b": 2},
        "a[1].b": 2,
    }


def test_copies_of_different_urls_do_not_share_a_file(tmp_path):
    urls = ["http://a/x", "http://a/x?", "https://a/x", "http://a/" + "x" * 300]
    copies = {document.copy_of(url, tmp_path) for url in urls}
    assert len(copies) == len(urls)
    assert all(len(copy.name) < 100 for copy in copies)


def test_a_copy_is_written_only_when_it_changed(tmp_path):
    copy = tmp_path / "config" / "x.json"
    document.keep(copy, b"one")
    before = copy.stat()
    document.keep(copy, b"one")
    assert copy.stat() == before
    document.keep(copy, b"two")
    assert copy.read_bytes() == b"two"
    assert copy.stat().st_ino != before.st_ino


def test_a_copy_that_did_not_change_tells_when_it_was_fetched(tmp_path):
    copy = tmp_path / "x.json"
    document.keep(copy, b"one")
    os.utime(copy, (1, 1))
    document.keep(copy, b"one")
    assert time.time() - copy.stat().st_mtime < 60


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        document.write(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_url_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for source in (
        "file:config.json",
        f"file:{tmp_path}/config.json",
        f"file://{tmp_path}/config.json",
    ):
        assert document.read(source) == b"{}"
