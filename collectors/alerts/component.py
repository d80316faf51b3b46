"""The Alerts component: judges the rules, keeps the book, publishes it, and tells people."""

import json
import logging
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.alerts.book import Book, Maintenance
from collectors.alerts.contacts import Contact
from collectors.alerts.messages import Writer
from collectors.alerts.outbox import Outbox
from jph.alerts.conditions import Moment
from jph.alerts.evaluation import Evaluator
from jph.alerts.rules import QuietHours, Rule, mistakes_in
from jph.alerts.telling import Order, Verb, fitting
from jph.alerts.zone import zone_of
from jph.bus.wire import Address, Control, Reading, number_of
from jph.clock import time_now_ms
from jph.config.model import Config
from jph.faults import MOST_TEXT, Fault
from jph.files import rewrite_file
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.settings import setting
from jph.threads import component_thread

log = logging.getLogger(__name__)

LOOK_S = 1.0  # between two looks at all rules
KEEP_S = 600.0  # between two notes of totals and of who was heard; the alerts are noted at once
LOSSES_S = 5.0
MOST_TOLD = 20  # alerts told again at a time
STOP_S = 4.0


@dataclass
class Alerts:
    """Judge rules by what is heard, and tell people of what they find.

    Its own data is the number of alerts that fire and nobody has looked at, in an object that also
    tells what changed; see `jph.alerts.telling`.
    """

    channel: Channel
    config: Config
    home: Path
    rules: tuple[Rule, ...] = setting((), doc="what is looked for")
    contacts: tuple[Contact, ...] = setting((), doc="who is told")
    silence: bool = setting(
        True, doc="whether everything is watched for silence that no rule of silence concerns"
    )
    quiet: str | None = setting(
        None, doc="hours such as `22:00-07:00` without messages of rules that are not critical"
    )
    time_zone: str | None = setting(
        None, doc="of `Quiet` and of days, such as `Europe/Berlin`; absent: that of the machine"
    )
    public_url: str | None = setting(
        None, key="PublicURL", doc="where people find the pages, for links in messages"
    )

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that disagree with each other or with the network."""
        contacts = [it for it in given.get("contacts", ()) if it is not None]
        names = [it.name for it in contacts]
        mistakes = mistakes_in(given.get("rules", ()), codifiers, names)
        mistakes += [
            f'Contacts[{place}].Name: "{name}" is also the name of Contacts[{names.index(name)}]'
            for place, name in enumerate(names)
            if names.index(name) != place
        ]
        try:
            QuietHours.of(given.get("quiet"))
        except ValueError as error:
            mistakes.append(f"Quiet: {error}")
        try:
            zone_of(given.get("time_zone"))
        except ValueError as error:
            mistakes.append(f"TimeZone: {error}")
        url = given.get("public_url")
        if url is not None and not url.startswith(("http://", "https://")):
            mistakes.append("PublicURL: must begin with http:// or https://")
        if mistakes:
            raise ValueError(*mistakes)

    def __post_init__(self) -> None:
        """Go on where the process before ended."""
        self._zone = zone_of(self.time_zone)
        self._path = self.home / "alerts" / f"{self.channel.codifier.encode().hex()}.json"
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._store_fault = Fault(log, logging.ERROR, every_s=3600.0, on_change=self._publish)
        self._outbox = Outbox(
            self.contacts,
            self.channel.codifier,
            save=self._save,
            on_change=self._publish,
            on_test=self._tested,
        )
        self._states = self.channel.last_states() if self._looks_at_losses() else None
        self._losses_s = self._kept_s = 0.0
        self._kept = b""  # what the disk has
        self._was_active = True
        self._firing = 0  # alerts, at the last look
        self._to_tell: list[int] = []  # numbers of alerts that somebody asked for
        self._rule_states: dict[str, dict[str, object]] = {}
        self._take_network()
        self._begin(self._load())
        self._stopping = threading.Event()
        self._outbox.start()
        self._thread = component_thread(f"alerts-{self.channel.codifier}", self._run)
        self._thread.start()

    def on_config(self, config: Config) -> None:
        """Watch the components of a new configuration, under which the settings are the same."""
        with self._lock:
            self.config = config
            self._take_network()
            self._begin({**self._memory(), "outbox": {}})
            self._rule_states.clear()
            self._settle(_now())

    def _take_network(self) -> None:
        """Take from the configuration what is about the other components."""
        components, own = self.config.components, self.channel.codifier
        self._codes: dict[str, str] = {}  # of rules, the Codifiers of their states
        for rule in self.rules:
            entry = components.get(rule.codifier or "")
            if entry is not None and entry.server == own:
                self._codes[rule.name] = entry.codifier
            elif rule.codifier is not None:
                log.error(
                    'the state of the rule "%s" is not sent: %s must be of Type Proxy, with %s as'
                    " its Sensor.Server",
                    *(rule.name, rule.codifier, own),
                )
        self._own = frozenset({own, *components[own].serves})
        self._writer = Writer(components, self._zone, self.public_url or "", own)

    def _looks_at_losses(self) -> bool:
        return any(rule.kind == "losses" and rule.enabled for rule in self.rules)

    def _begin(self, memory: Mapping[str, Any]) -> None:
        """Make evaluator and book, with what was known before."""
        now = _now()
        components = self.config.components
        self._book = Book(self.rules, components, self._zone, self.quiet)
        seen = memory.get("seen")
        self._evaluator = Evaluator(
            self.rules,
            components,
            now,
            self._zone,
            own=self._own,
            seen=seen if isinstance(seen, dict) else None,
            silence=self.silence,
        )
        if not memory:
            return
        try:
            self._book.recall(
                memory["book"],
                now.ms,
                lambda it: self._evaluator.restore(
                    *(it.rule, it.subject, "firing" if it.fired_ms else "pending"),
                    *(it.since_ms, it.members, now),
                ),
            )
            self._evaluator.recall_totals(memory["totals"])
            self._outbox.recall(memory["outbox"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("%s is damaged, and the alerts begin anew: %r", self._path, error)
            self._book = Book(self.rules, components, self._zone, self.quiet)

    # From the bus

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings."""
        now = _now()
        with self._lock:
            for codifier, _, _, value, _, _, address in readings:
                self._evaluator.on_reading(codifier, number_of(value), now, address)

    def on_control(self, message: Control, address: Address) -> None:
        """Take one control message: a sign of life, and perhaps a command to us."""
        with self._lock:
            self._evaluator.on_control(message, _now())
        if message.flag == "A" and message.destination in self._own:
            is_ours = message.destination == self.channel.codifier
            is_question = is_ours and message.number == Order(Verb.TELL).number()
            if is_question or self._takes_commands(message.destination):
                self._obey(message.destination, message.number)

    def _takes_commands(self, codifier: str) -> bool:
        components = self.config.components
        return any(
            components[it].control_enabled
            for it in {codifier, self.channel.codifier} & {*components}
        )

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish the number of firing alerts, and the states of the rules."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise RuntimeError("the thread that judges has ended, see the log")
        if command:  # an A, which on_control has seen
            return STATE.GOOD
        self._publish()
        with self._lock:
            self._rule_states.clear()
            self._publish_rules(_now().ms)
        return STATE.WITHERRORS if self._fault() else STATE.GOOD

    def close(self) -> None:
        """Stop, and keep everything for the next process."""
        self._stopping.set()
        self._thread.join(STOP_S)
        self._outbox.close()
        self._save()

    # Commands

    def _obey(self, codifier: str, number: float) -> None:
        now_ms = time_now_ms()
        with self._lock:
            if codifier != self.channel.codifier:
                rules = [name for name, code in self._codes.items() if code == codifier]
                for name in rules if number >= 0 else ():
                    self._book.attend_rule(name, int(min(number, 1e9)), now_ms)
            elif (order := Order.of(number)) is None:
                log.warning("%s: A %r is no command of ours", codifier, number)
                return
            elif order.verb == Verb.TELL:
                self._to_tell = [alert.id for alert in self._book.alerts()]
                for it in self._book.maintenance:
                    self._publish_maintenance(it, it.until_ms)
            elif order.verb == Verb.TEST:
                self._test(order.argument)
            else:
                before = list(self._book.maintenance)
                if not self._book.obey(order, now_ms):
                    log.warning("%s: there is nothing that %s is about", codifier, order)
                for it in self._book.maintenance:
                    if it not in before and it.until_ms > now_ms:
                        self._publish_maintenance(it, it.until_ms)
            self._settle(_now())
            is_dirty = self._book.is_dirty
        if is_dirty:
            self._save()

    def _test(self, place: int) -> None:
        if 1 <= place <= len(self.contacts):
            contact = self.contacts[place - 1]
            self._outbox.test(contact, self._writer.test(contact.name, time_now_ms()))

    def _tested(self, contact: str, is_ok: bool, text: str) -> None:
        self._publish(tested={"contact": contact, "ok": is_ok, "text": text[:MOST_TEXT]})

    # Judging

    def _run(self) -> None:
        try:
            while not self._stopping.wait(LOOK_S):
                self._look()
        except Exception:
            log.exception("the judging of alerts ends by a bug: please report it")
            raise

    def _look(self) -> None:
        if not self.channel.is_active:
            self._was_active = False
            return
        now = _now()
        with self._lock:
            if not self._was_active:  # nothing was heard while it was halted
                self._was_active = True
                self._begin({**self._memory(), "outbox": {}})
            process = self.channel.process
            failing = {
                codifier: status.error or ""
                for codifier, status in process.components().items()
                if status.is_failing
            }
            if self._states is not None and now.s >= self._losses_s + LOSSES_S:
                self._losses_s = now.s
                self._evaluator.on_losses(self._lost(), now)
            joined = process.bus.status().joined
            for transition in self._evaluator.tick(now, failing, joined=joined):
                self._book.take(transition)
            self._settle(now)
            is_dirty = self._book.is_dirty
        if is_dirty or now.s >= self._kept_s + KEEP_S:
            self._save()
        self._outbox.wake()

    def _lost(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for codifier in self._evaluator.watched_losses:
            fields = (self._states and self._states.get(codifier)) or {}
            numbers = [fields.get(name) for name in ("DPacketsLost", "CPacketsLost")]
            known = [it for it in numbers if isinstance(it, int | float)]
            if known:
                found[codifier] = float(sum(known))
        return found

    def _settle(self, now: Moment) -> None:
        """Publish what changed, and put into the outbox what is due."""
        said: dict[int, str] = {}
        self._firing = self._book.firing(now.ms)
        for it in self._book.end_maintenance(now.ms):
            self._publish_maintenance(it, 0)
        for announcement in self._book.due(now.ms):
            message = self._writer.write(announcement, now.ms)
            self._outbox.add(message, announcement.rule.contacts)
            told = self._book.told(announcement.alert, now.ms)
            self._publish(said=announcement.event, alert=told)
            said[told.id] = told.state
        news = self._book.news(now.ms)
        news = [it for it in news if said.get(it.id) != it.state]
        told_ids = {it.id for it in news} | {*said}
        again, self._to_tell = self._to_tell[:MOST_TOLD], self._to_tell[MOST_TOLD:]
        for alert in self._book.alerts():
            if alert.id in again and alert.id not in told_ids:
                news.append(self._book.told(alert, now.ms))
        for each in news:
            self._publish(alert=each)
        if news or said:
            self._publish_rules(now.ms)

    # On the bus

    def _fault(self) -> str:
        return "; ".join(filter(None, (self._outbox.fault, self._store_fault.text)))[:MOST_TEXT]

    def _publish(self, **parts: Any) -> None:
        """Send the number of firing alerts, with news beside it."""
        content: dict[str, object] = {"value": self._firing}
        if fault := self._fault():
            content["fault"] = fault
        self.channel.send_data(fitting(content, **parts))

    def _publish_maintenance(self, it: Maintenance, until_ms: int) -> None:
        self._publish(maintenance={"of": it.of, "name": it.name, "until": until_ms})

    def _publish_rules(self, now_ms: int) -> None:
        """Send the states of the rules that have a Codifier and whose state changed."""
        for name, codifier in self._codes.items():
            alerts = self._book.of_rule(name)
            states = [self._book.state(alert, now_ms) for alert in alerts]
            content: dict[str, object] = {
                "value": 2 if "firing" in states else 1 if states else 0,
                "rule": name,
                "subjects": [alert.subject for alert in alerts],
                "since": min((alert.since_ms for alert in alerts), default=0),
                "text": "; ".join(alert.text for alert in alerts[:5]),
            }
            if self._rule_states.get(codifier) != content:
                self._rule_states[codifier] = content
                self.channel.send_data(fitting(content), codifier=codifier)

    # On the disk

    def _memory(self) -> dict[str, Any]:
        with self._lock:
            return {
                "book": self._book.memory(),
                "seen": self._evaluator.seen(),
                "totals": self._evaluator.totals(),
                "outbox": self._outbox.memory(),
            }

    def _load(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read, and the alerts begin anew: %s", self._path, error)
            return {}
        return found if isinstance(found, dict) else {}

    def _save(self) -> None:
        with self._saving:
            self._kept_s = time.monotonic()
            self._book.is_dirty = False
            content = json.dumps(self._memory()).encode()
            if content == self._kept:
                return
            try:
                rewrite_file(self._path, content, 0o600)
                self._kept = content
            except OSError as error:
                self._book.is_dirty = True
                said = f"the alerts cannot be kept on the disk: {error.strerror or error}"
                self._store_fault.note(said, f"{said}; a restart may repeat messages")
            else:
                self._store_fault.end("the alerts are kept on the disk again")


def _now() -> Moment:
    return Moment(time.monotonic(), time_now_ms())
