"""Web Push against a push service of our own, decrypted as a browser would."""

import base64
import json
import os
import sqlite3
import stat

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jph.alerts.telling import Told
from tests.helpers import eventually, logged
from tests.http_server import says
from tests.web.alerts.test_views import Asker
from web.alerts import push
from web.alerts.board import Posted
from web.history import events
from web.migrations import connect


class BrowserKeys:
    """The keys of one browser."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.secret = os.urandom(16)

    def subscription(self, endpoint):
        point = self.private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        keys = {"p256dh": encoded(point), "auth": encoded(self.secret)}
        return {"endpoint": endpoint, "expirationTime": None, "keys": keys}

    def decrypt(self, body):
        return json.loads(
            http_ece.decrypt(
                body, private_key=self.private, auth_secret=self.secret, version="aes128gcm"
            )
        )


def encoded(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture
def service_here(monkeypatch):
    """Let the push service of a test be on this machine, without TLS."""
    monkeypatch.setattr(push, "SCHEMES", frozenset({"http"}))
    monkeypatch.setattr(push, "is_public", lambda host: True)
    monkeypatch.setattr(push, "TRIES_S", (0.1, 0.1, 0.1))


def posted(state="firing", severity="critical", text="Kessel ☃ is above 30 °C"):
    return Posted("AL", Told(7, "warm", "A1", state, severity, 0, 0, text=text), 0.0)


def told(home, browser, hook, path="/one", who="owner"):
    given = browser.subscription(hook.url + path)
    found = push.checked(given)
    push.add(home, push.Subscription(*found, "http://127.0.0.1:8080/jph/"), who)
    push.public_key(home)


def send(home, *all_posted, said="begins"):
    sender = push.PushSender(home)
    for each in all_posted:
        sender.take(each, said)
    return sender


def test_a_browser_gets_what_it_can_read_signed_by_our_key(hook, service_here, tmp_path):
    hook.answers["*"] = says(b"", 201)
    browser = BrowserKeys()
    told(tmp_path, browser, hook)
    sender = send(tmp_path, posted())
    eventually(lambda: hook.asked, 60)
    sender.close()
    ((method, path, found, body),) = hook.asked
    headers = {name.title(): text for name, text in found.items()}
    assert (method, path, headers["Urgency"]) == ("POST", "/one", "high")
    content = browser.decrypt(body)
    assert content["title"] == "Kessel ☃ is above 30 °C"
    assert content["url"] == "http://127.0.0.1:8080/jph/component/A1"
    assert content["tag"] == "AL-7"
    token = headers["Authorization"].partition("t=")[2].partition(",")[0]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == hook.url
    key = push.public_key(tmp_path)
    assert f"k={key}" in headers["Authorization"]
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = (int.from_bytes(part, "big") for part in (raw[:32], raw[32:]))
    point = base64.urlsafe_b64decode(key + "==")
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    public.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path):
    key = push.public_key(tmp_path)
    assert push.public_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / push.KEY_FILE).stat().st_mode) == 0o600


def test_a_browser_that_has_unsubscribed_is_forgotten_and_others_are_told(
    hook, service_here, tmp_path
):
    hook.answers.update({"/gone": says(b"", 410), "/here": says(b"", 201)})
    told(tmp_path, BrowserKeys(), hook, "/gone")
    told(tmp_path, BrowserKeys(), hook, "/here")
    sender = send(tmp_path, posted())
    eventually(lambda: len(push.subscriptions(tmp_path)) == 1, 60)
    sender.close()
    assert sorted(path for _, path, _, _ in hook.asked) == ["/gone", "/here"]


def test_a_service_that_is_away_is_tried_again_and_others_not(hook, service_here, tmp_path):
    answers = iter([says(b"", 503), says(b"", 201)])
    hook.answers.update({"/busy": lambda it: next(answers)(it), "/here": says(b"", 201)})
    told(tmp_path, BrowserKeys(), hook, "/busy")
    told(tmp_path, BrowserKeys(), hook, "/here")
    sender = send(tmp_path, posted())
    eventually(lambda: len(hook.asked) == 3, 60)
    sender.close()
    assert sorted(path for _, path, _, _ in hook.asked) == ["/busy", "/busy", "/here"]


def test_nothing_starts_where_nobody_subscribed(tmp_path):
    sender = send(tmp_path, posted())
    assert sender._thread is None
    sender.close()


def test_what_is_not_said_is_not_pushed(hook, service_here, tmp_path):
    told(tmp_path, BrowserKeys(), hook)
    sender = send(tmp_path, posted(), said="")
    assert sender._thread is None


def test_a_person_who_is_gone_is_not_told(hook, service_here, tmp_path):
    with sqlite3.connect(events.database_of(tmp_path)) as database:
        connect(events.database_of(tmp_path)).close()
        database.execute(
            "INSERT INTO account (name, password_hash, stamp, created_ms)"
            " VALUES ('anna', '', '', 0)"
        )
    told(tmp_path, BrowserKeys(), hook, "/anna", who="anna")
    told(tmp_path, BrowserKeys(), hook, "/owner")
    assert len(push.subscriptions(tmp_path)) == 2
    with sqlite3.connect(events.database_of(tmp_path)) as database:
        database.execute("DELETE FROM account")
    assert [it.endpoint.rpartition("/")[2] for it in push.subscriptions(tmp_path)] == ["owner"]


def test_subscriptions_are_bounded(hook, service_here, tmp_path):
    for number in range(push.MOST_OF_PERSON + 3):
        told(tmp_path, BrowserKeys(), hook, f"/{number}")
    told(tmp_path, BrowserKeys(), hook, "/other", who="anna")
    found = [it.endpoint.rpartition("/")[2] for it in push.subscriptions(tmp_path)]
    assert len(found) == push.MOST_OF_PERSON + 1
    assert "other" in found and str(push.MOST_OF_PERSON + 2) in found


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.com/x",
        "https://127.0.0.1/x",
        "https://192.168.1.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://printer.local/x",
        "https://router/x",
        "file:///etc/passwd",
        "",
        "https://push.example.com/" + "x" * 2000,
        5,
    ],
)
def test_an_address_inside_of_the_network_is_no_push_service(endpoint):
    with pytest.raises(ValueError):
        push.checked(BrowserKeys().subscription(endpoint))


def test_a_push_service_of_the_internet_is_one():
    given = BrowserKeys().subscription("https://push.example.com/send/abc")
    assert push.checked(given)[0] == "https://push.example.com/send/abc"


def test_the_end_of_an_alert_takes_the_place_of_its_beginning():
    begins, ends = (push.notification(posted(state), "/") for state in ("firing", "ended"))
    assert begins["tag"] == ends["tag"] and ends["title"].startswith("Over: ")


def test_a_damaged_key_file_is_said(tmp_path, caplog, hook, service_here):
    told(tmp_path, BrowserKeys(), hook)
    (tmp_path / push.KEY_FILE).write_text("{")
    sender = send(tmp_path, posted())
    eventually(lambda: logged(caplog, push.KEY_FILE, "subscribe again"))
    sender.close()


def test_an_alert_of_the_network_reaches_a_browser_that_subscribed(
    start, signed_in, hook, service_here
):
    hook.answers["*"] = says(b"", 201)
    browser = BrowserKeys()
    rule = {"Name": "Too warm", "Kind": "above", "Limit": 30, "Sensors": ["A1"]}
    network = start(rules=[rule])
    asker = Asker(signed_in(network))
    assert len(asker.client.get("/alerts/push").json["key"]) > 80
    given = {"subscription": browser.subscription(f"{hook.url}/me"), "root": "/"}
    assert asker.post("/alerts/push", **given).json == {"done": True}
    network.sensors.values.update(A1=40.0, A2=1.0)
    eventually(lambda: len(hook.asked) == 1, 60)
    network.sensors.values["A1"] = 1.0
    eventually(lambda: len(hook.asked) == 2, 60)
    first, second = (browser.decrypt(body) for _, _, _, body in hook.asked)
    assert first["title"] == "Boiler is above 30 °C"
    assert first["url"] == f"{network.address}component/A1"
    assert second["title"] == "Over: Boiler is above 30 °C"
    endpoint = given["subscription"]["endpoint"]
    assert asker.post("/alerts/push/remove", endpoint=endpoint).json == {"done": True}
    assert push.subscriptions(network.home) == []


@pytest.mark.parametrize(
    "given",
    [{}, {"subscription": {}, "root": "/"}, {"subscription": 5, "root": "/"}, {"root": "//x"}],
)
def test_a_subscription_that_is_none_is_refused(start, signed_in, given):
    assert Asker(signed_in(start())).post("/alerts/push", **given).status == 400
