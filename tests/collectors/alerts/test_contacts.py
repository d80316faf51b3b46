"""Contacts and the outbox against real servers on this machine."""

import email
import hashlib
import hmac
import json
import ssl
import threading
from email import policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from collectors.alerts import outbox as outbox_module
from collectors.alerts.contacts import Contact, Undelivered
from collectors.alerts.messages import Message
from collectors.alerts.outbox import BURST, MOST, Outbox
from jph import tcp
from tests.certificates import make_certificate
from tests.helpers import eventually, free_tcp_port, logged
from tests.http_server import Server, running, says

MESSAGE = Message(
    key="AL-1-begins",
    event="begins",
    severity="critical",
    made_ms=1_780_056_000_000,
    title="Kessel « ☃ » is above 30 °C: 31.5 °C",
    body="Kessel is above 30 °C: 31.5 °C.\nWhat to do: Öffnen.",
    url="https://home.example.org/component/A1",
    facts={"alert": 1, "value": 31.5},
)


def numbered(number, event="begins"):
    return Message(f"AL-{number}-{event}", event, "warning", 1000, f"Alert {number}", "body")


class Mailbox:
    """Takes mail, after `refusals` of it."""

    def __init__(self):
        self.mails, self.refusals, self.login = [], 0, None

    async def handle_DATA(self, server, session, envelope):
        if self.refusals:
            self.refusals -= 1
            return "451 try later"
        self.login = session.auth_data
        parsed = email.message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.rcpt_tos, parsed))
        return "250 taken"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    hosts = "DNS:localhost,IP:127.0.0.1"
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost", hosts=hosts)


@pytest.fixture
def context(certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    tcp.trust.cache_clear()
    yield made
    tcp.trust.cache_clear()


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text("se cret\n")
    return path


def post_office(mailbox, **given):
    return Controller(mailbox, hostname="127.0.0.1", port=free_tcp_port(), **given)


def mail_to(office, **given):
    return Contact(
        name="mail",
        kind="mail",
        server="127.0.0.1",
        port=office.port,
        sender="jph@example.org",
        to=("a@example.org", "b@example.org"),
        **{"security": "none", **given},
    )


def test_a_mail_arrives_with_all_its_letters():
    mailbox = Mailbox()
    office = post_office(mailbox)
    office.start()
    try:
        mail_to(office).deliver(MESSAGE)
        mail_to(office).deliver(MESSAGE)
    finally:
        office.stop()
    to, mail = mailbox.mails[0]
    assert to == ["a@example.org", "b@example.org"]
    assert mail["Subject"] == f"[critical] {MESSAGE.title}"
    assert mail.get_content().splitlines() == MESSAGE.body.splitlines()
    # The same mail again is the same mail for a mailbox.
    assert mail["Message-ID"] == mailbox.mails[1][1]["Message-ID"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_goes_over_tls_and_signs_in(security, context, certificate, password):
    mailbox = Mailbox()
    given = {"ssl_context": context} if security == "tls" else {"tls_context": context}

    def sign_in(server, session, envelope, mechanism, data):
        ok = (data.login, data.password) == (b"jph", b"se cret")
        return AuthResult(success=ok, handled=False, auth_data=data if ok else None)

    office = post_office(
        mailbox,
        authenticator=sign_in,
        auth_required=True,
        auth_require_tls=security == "starttls",
        **given,
    )
    office.start()
    try:
        contact = {"security": security, "user": "jph", "password_file": password}
        with pytest.raises(Undelivered, match="certificate is not accepted"):
            mail_to(office, **contact).deliver(MESSAGE)
        mail_to(office, ca_file=certificate[0], **contact).deliver(MESSAGE)
        password.write_text("another\n")
        with pytest.raises(Undelivered, match="535"):
            mail_to(office, ca_file=certificate[0], **contact).deliver(MESSAGE)
    finally:
        office.stop()
    assert len(mailbox.mails) == 1


def test_without_starttls_no_password_is_sent(password):
    """A server, or somebody between, that offers no TLS."""
    mailbox = Mailbox()
    office = post_office(mailbox)
    office.start()
    try:
        with pytest.raises(Undelivered):
            mail_to(office, security="starttls", user="jph", password_file=password).deliver(
                MESSAGE
            )
    finally:
        office.stop()
    assert mailbox.mails == []


def test_a_webhook_is_signed(server, tmp_path):
    server.answers["/hook"] = says(b"", 204)
    key = tmp_path / "key"
    key.write_text("shared\n")
    contact = Contact(name="hook", kind="webhook", url=f"{server.url}/hook", key_file=key)
    contact.deliver(MESSAGE)
    ((method, _, headers, body),) = server.asked
    content = json.loads(body)
    assert (method, content["title"], content["value"]) == ("POST", MESSAGE.title, 31.5)
    expected = hmac.new(b"shared", body, hashlib.sha256).hexdigest()
    assert headers["X-JPH-Signature"] == f"sha256={expected}"


def test_ntfy_gets_the_message_with_its_token(server, tmp_path):
    server.answers["/"] = says(b"{}")
    token = tmp_path / "token"
    token.write_text("tk_1\n")
    contact = Contact(name="phone", kind="ntfy", url=server.url, topic="jph-1", token_file=token)
    contact.deliver(MESSAGE)
    ((_, _, headers, body),) = server.asked
    content = json.loads(body)
    assert headers["Authorization"] == "Bearer tk_1"
    assert (content["topic"], content["title"]) == ("jph-1", MESSAGE.title)
    assert (content["priority"], content["click"]) == (5, MESSAGE.url)


def test_apprise_delivers(server, tmp_path):
    server.answers["*"] = says(b"ok")
    urls = tmp_path / "urls"
    urls.write_text(f"# the phone\njson://{server.url.partition('//')[2]}/told\n")
    Contact(name="any", kind="apprise", url_file=urls).deliver(MESSAGE)
    ((_, path, _, body),) = server.asked
    content = json.loads(body)
    assert path.startswith("/told") and content["title"] == MESSAGE.title
    assert content["type"] == "failure"


@pytest.mark.parametrize("line", ["", "nothing://at all"])
def test_apprise_without_an_address_says_so(tmp_path, line):
    urls = tmp_path / "urls"
    urls.write_text(line)
    with pytest.raises(Undelivered, match="address"):
        Contact(name="any", kind="apprise", url_file=urls).deliver(MESSAGE)


def test_a_refusal_is_told_without_the_secrets_of_the_address(server):
    server.answers["*"] = says(b"no", 403)
    contact = Contact(name="hook", kind="webhook", url=f"{server.url}/hook?token=secret")
    with pytest.raises(Undelivered, match="403") as caught:
        contact.deliver(MESSAGE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"kind": "mail"}, {"Server", "From", "To"}),
        ({"kind": "mail", "server": "s", "sender": "x", "to": ("a@b", "c")}, {"From", "To[1]"}),
        ({"kind": "webhook", "url": "ftp://x"}, {"URL"}),
        ({"kind": "ntfy", "topic": "a b"}, {"Topic"}),
        ({"kind": "apprise"}, {"URLFile"}),
        ({"kind": "ntfy", "topic": "a", "user": "x"}, {"PasswordFile"}),
    ],
)
def test_a_contact_that_cannot_be_told_is_a_mistake(given, keys):
    with pytest.raises(ValueError) as caught:
        Contact(name="x", **given)
    assert {line.partition(":")[0] for line in caught.value.args} == keys


# The outbox


@pytest.fixture
def hook():
    """Yield the address of a server that may be away; `server_at` brings it back."""
    return free_tcp_port()


class Kept:
    """An outbox, and what its last process put on the disk."""

    def __init__(self, *contacts):
        self.contacts, self.saved, self.box = contacts, {}, None

    def start(self):
        self.box = Outbox(self.contacts, "AL", save=self.save)
        self.box.recall(json.loads(json.dumps(self.saved)))
        self.box.start()
        self.box.wake()
        return self.box

    def save(self):
        self.saved = self.box.memory()

    def add(self, *messages):
        for message in messages:
            self.box.add(message, None)
        self.save()
        self.box.wake()


def titles(server):
    return [json.loads(body)["title"] for _, _, _, body in server.asked]


def test_messages_wait_while_the_server_is_away_and_survive_a_restart(hook, caplog):
    kept = Kept(Contact(name="hook", kind="webhook", url=f"http://127.0.0.1:{hook}/"))
    kept.start()
    kept.add(numbered(1), numbered(2))
    eventually(lambda: kept.box.fault)
    eventually(lambda: logged(caplog, "hook cannot be told") == 1)
    kept.box.close()
    with running(Server(hook)) as server:
        server.answers["*"] = says(b"")
        kept.start()
        eventually(lambda: len(server.asked) == 2 and not kept.box.waiting())
        kept.box.close()
        kept.start()
        kept.box.close()
        assert titles(server) == ["Alert 1", "Alert 2"]
    assert kept.saved == {}


def test_what_is_refused_is_tried_again_and_delivered_once(server, monkeypatch):
    monkeypatch.setattr(outbox_module, "FIRST_RETRY_S", 0.05)
    answers = iter([says(b"", 503), says(b"", 429), says(b"")])
    server.answers["*"] = lambda handler: next(answers)(handler)
    kept = Kept(Contact(name="hook", kind="webhook", url=server.url))
    kept.start()
    kept.add(numbered(1))
    eventually(lambda: not kept.box.waiting())
    assert kept.box.fault == "" or eventually(lambda: kept.box.fault == "")
    kept.box.close()
    assert titles(server) == ["Alert 1"] * 3  # two refusals, and the one that counts


def test_one_contact_that_is_away_delays_no_other(server, hook):
    server.answers["*"] = says(b"")
    kept = Kept(
        Contact(name="away", kind="webhook", url=f"http://127.0.0.1:{hook}/"),
        Contact(name="here", kind="webhook", url=server.url),
    )
    kept.start()
    kept.add(numbered(1))
    eventually(lambda: titles(server) == ["Alert 1"])
    eventually(lambda: list(kept.box.memory()) == ["away"])
    kept.box.close()


def test_a_storm_becomes_a_few_messages_and_nothing_is_left_out(server):
    server.answers["*"] = says(b"")
    kept = Kept(Contact(name="hook", kind="webhook", url=server.url))
    kept.start()
    kept.add(*(numbered(n) for n in range(40)))
    eventually(lambda: not kept.box.waiting())
    kept.box.close()
    assert len(server.asked) <= BURST
    said = "".join(json.loads(body)["text"] for _, _, _, body in server.asked)
    assert all(f"Alert {n}\n" in f"{said}\n" for n in range(40))


def test_the_outbox_is_bounded(hook):
    kept = Kept(Contact(name="hook", kind="webhook", url=f"http://127.0.0.1:{hook}/"))
    kept.box = Outbox(kept.contacts, "AL", save=kept.save)
    kept.add(*(numbered(n) for n in range(MOST + 50)))
    assert kept.box.waiting() == MOST
    assert kept.box.memory()["hook"][0]["title"] == "Alert 50"


def test_severities_and_names_choose_the_contacts(hook):
    box = Outbox(
        [
            Contact(name="night", kind="webhook", url="http://x/", least="critical"),
            Contact(name="day", kind="webhook", url="http://x/"),
        ],
        "AL",
        save=lambda: None,
    )
    assert box.add(numbered(1), None) and list(box.memory()) == ["day"]
    assert box.add(MESSAGE, ["night"]) and list(box.memory()) == ["night", "day"]
    assert not box.add(numbered(2), ["night"])


def test_a_test_message_is_tried_once_and_its_fate_is_told(server):
    server.answers["*"] = says(b"", 401)
    told = threading.Event()
    found = []

    def on_test(*what):
        found.append(what)
        told.set()

    contact = Contact(name="hook", kind="webhook", url=server.url)
    box = Outbox([contact], "AL", save=lambda: None, on_test=on_test)
    box.start()
    box.test(contact, numbered(1, "test"))
    assert told.wait(20)
    box.close()
    ((name, is_ok, text),) = found
    assert (name, is_ok) == ("hook", False) and "401" in text
    assert len(server.asked) == 1
