"""Contacts: who is told, by mail, webhook, ntfy, or whatever apprise knows."""

import hashlib
import hmac
import importlib.util
import json
import logging
import re
import smtplib
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from collectors.alerts.messages import Message
from jph.alerts.rules import SEVERITIES, Severity
from jph.child import run_module
from jph.errors import HttpError, JphError, StoreError
from jph.files import password_in
from jph.settings import setting
from jph.tcp import plain, trust

log = logging.getLogger(__name__)

TIMEOUT_S = 20.0
APPRISE_S = 60.0
NTFY = "https://ntfy.sh"
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_PRIORITIES = {"info": 3, "warning": 4, "critical": 5}  # of ntfy: 3 is usual, 5 the most urgent
_TAGS = {"begins": "rotating_light", "ends": "white_check_mark", "test": "bell"}


class Undelivered(JphError):
    """A contact could not be told; it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact."""

    name: str = setting(doc="its name, which rules name; no other contact has it")
    kind: Literal["mail", "webhook", "ntfy", "apprise"] = setting(
        doc="the way to it: `mail`, `webhook`, `ntfy` or `apprise`"
    )
    least: Severity = setting("info", doc="the mildest severity that it is told")
    url: str | None = setting(
        None, doc="of `webhook`: its address; of `ntfy`: the server, absent: `https://ntfy.sh`"
    )
    topic: str | None = setting(None, doc="of `ntfy`")
    token_file: Path | None = setting(None, doc="of `ntfy`: path of the file with an access token")
    key_file: Path | None = setting(
        None, doc="of `webhook`: path of the file with the key of the signature"
    )
    url_file: Path | None = setting(
        None, doc="of `apprise`: path of the file with its addresses, one a line"
    )
    server: str | None = setting(None, doc="of `mail`: the SMTP server")
    port: int | None = setting(
        None, ge=1, le=65535, doc="of `mail`; absent: 587, with `tls` 465, with `none` 25"
    )
    security: Literal["starttls", "tls", "none"] = setting(
        "starttls", doc="of `mail`: `starttls`, `tls` or `none`"
    )
    user: str | None = setting(None, doc="of `mail`: who signs in")
    password_file: Path | None = setting(None, doc="of `mail`: path of the file with the password")
    sender: str | None = setting(None, key="From", doc="of `mail`: address of the sender")
    to: tuple[str, ...] = setting((), doc="of `mail`: addresses of the readers")
    ca_file: Path | None = setting(
        None, key="CAFile", doc="certificate to trust, if the system does not know it"
    )

    def __post_init__(self) -> None:
        """Refuse a contact that cannot be told, with every mistake."""
        needs: dict[str, dict[str, object]] = {
            "mail": {"Server": self.server, "From": self.sender, "To": self.to},
            "webhook": {"URL": self.url},
            "ntfy": {"Topic": self.topic},
            "apprise": {"URLFile": self.url_file},
        }
        mistakes = [
            f"{key}: is required by Kind {self.kind}"
            for key, value in needs[self.kind].items()
            if not value
        ]
        if self.url is not None and not re.match(r"https?://[^/\s]+", self.url):
            mistakes.append("URL: must begin with http:// or https:// and a host")
        if self.topic is not None and not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", self.topic):
            mistakes.append("Topic: must have 1 to 64 letters, digits, - and _")
        addresses = {"From": self.sender} | {f"To[{at}]": it for at, it in enumerate(self.to)}
        mistakes += [
            f"{key}: must be a mail address"
            for key, address in addresses.items()
            if address is not None and not re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", address)
        ]
        if self.user is not None and self.password_file is None:
            mistakes.append("PasswordFile: is required, since there is a User")
        if not self.name.strip():
            mistakes.append("Name: must not be empty")
        if mistakes:
            raise ValueError(*mistakes)

    def takes(self, severity: str) -> bool:
        """Tell whether it is told of alerts of a severity."""
        return SEVERITIES.index(severity) >= SEVERITIES.index(self.least)

    def deliver(self, message: Message) -> None:
        """Deliver a message; return when the other side has taken it.

        Raises:
            Undelivered: it has not, or nobody knows.
        """
        try:
            {
                "mail": self._mail,
                "webhook": self._webhook,
                "ntfy": self._ntfy,
                "apprise": self._apprise,
            }[self.kind](message)
        except (HttpError, StoreError) as error:
            raise Undelivered(str(error)) from error
        except ValueError as error:  # its text may hold a secret
            raise Undelivered("the address or a header cannot be sent") from error

    def _mail(self, message: Message) -> None:
        assert self.server is not None and self.sender is not None
        mail = EmailMessage()
        prefix = "" if message.event == "ends" else f"[{message.severity}] "
        mail["Subject"] = _one_line(f"{prefix}{message.title}")
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.made_ms / 1000, UTC))
        # The same at each try, so that mailboxes show a repeated mail once.
        mail["Message-ID"] = f"<{_identity(message.key)}@jph.invalid>"
        mail.set_content(message.body + "\n")
        port = self.port or _PORTS[self.security]
        try:
            context = trust(str(self.ca_file or ""))
            if self.security == "tls":
                client: smtplib.SMTP = smtplib.SMTP_SSL(
                    self.server, port, timeout=TIMEOUT_S, context=context
                )
            else:
                client = smtplib.SMTP(self.server, port, timeout=TIMEOUT_S)
            with client:
                if self.security == "starttls":
                    client.starttls(context=context)
                if self.user is not None and self.password_file is not None:
                    client.login(self.user, password_in(self.password_file))
                refused = client.send_message(mail)
        except ssl.SSLCertVerificationError as error:
            raise Undelivered(f"its certificate is not accepted: {error.verify_message}") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise Undelivered(f"the server refuses mail to {', '.join(self.to)}") from error
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
            raise Undelivered(f"the server says {error.smtp_code} {plain(text)}") from error
        except (OSError, smtplib.SMTPException) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Undelivered(plain(said)) from error
        if refused:  # the others have it, so that it is not sent again
            log.warning("%s: the server refuses mail to %s", self.name, ", ".join(refused))

    def _webhook(self, message: Message) -> None:
        assert self.url is not None
        content = {
            "key": message.key,
            "event": message.event,
            "severity": message.severity,
            "title": message.title,
            "text": message.body,
            "url": message.url,
            "made_ms": message.made_ms,
            **message.facts,
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "X-JPH-Delivery": _identity(message.key)}
        if self.key_file is not None:
            key = password_in(self.key_file).encode()
            headers["X-JPH-Signature"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
        self._post(self.url, headers, body)

    def _ntfy(self, message: Message) -> None:
        content: dict[str, object] = {
            "topic": self.topic,
            "title": message.title,
            "message": message.body,
            "priority": 3 if message.event != "begins" else _PRIORITIES[message.severity],
            "tags": [_TAGS[message.event]],
        }
        if message.url:
            content["click"] = message.url
        headers = {"Content-Type": "application/json"}
        if self.token_file is not None:
            headers["Authorization"] = f"Bearer {password_in(self.token_file)}"
        self._post(self.url or NTFY, headers, json.dumps(content, ensure_ascii=False).encode())

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> None:
        from jph import http  # which costs 3 MB

        answer = http.request(
            "POST",
            url,
            deadline_s=TIMEOUT_S,
            most_bytes=1 << 16,
            headers=headers,
            body=body,
            ca_file=str(self.ca_file or ""),
        )
        if not 200 <= answer.status < 300:
            raise Undelivered(f"{answer.address} answers {answer.status} {answer.reason}".rstrip())

    def _apprise(self, message: Message) -> None:
        assert self.url_file is not None
        if importlib.util.find_spec("apprise") is None:
            raise Undelivered("apprise is not installed: pip install 'jph[apprise]'")
        kind = {"ends": "success", "test": "info"}.get(
            message.event, {"critical": "failure"}.get(message.severity, message.severity)
        )
        given = {"file": str(self.url_file), "title": message.title, "body": message.body}
        try:
            ended = run_module("collectors.alerts.by_apprise", {**given, "kind": kind}, APPRISE_S)
        except subprocess.TimeoutExpired as error:
            raise Undelivered(f"apprise has not delivered it within {APPRISE_S:.0f} s") from error
        except OSError as error:
            raise Undelivered(f"apprise cannot be started: {error.strerror}") from error
        if ended.returncode:
            said = ended.stdout.decode("utf-8", "replace").strip()
            raise Undelivered(plain(said, 200) or f"apprise ended with {ended.returncode}")


def _identity(key: str) -> str:
    """Return what names a message to others, without a character that mail has no room for."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
