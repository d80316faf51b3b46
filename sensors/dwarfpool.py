"""Hash rates of a mining pool that answers as dwarfpool.com does."""

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from jph.bus.wire import Value, number_of
from jph.errors import SensorError
from jph.settings import setting
from jph.tcp import plain
from sensors import json_api
from sensors.missing_values import MissingValues


@dataclass(frozen=True, slots=True)
class ProxyOf:
    """The worker whose calculated hash rate a proxy has."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    field: str = setting("", doc="name of the worker; absent: that of the component")


@dataclass
class Dwarfpool:
    """Read the hash rate that a miner reports and, for its proxies, the pool's own calculation.

    There is a reading only if work was submitted since the last one.
    """

    codifier: str
    url: str = setting(key="URL", doc="address of the API with wallet and email")
    server: str = setting("", doc="name of the worker; absent: the whole account")
    field: str = setting("", doc="the same as Server")
    proxy: tuple[ProxyOf, ...] = setting((), doc="the pool's own calculation")
    timeout_s: float = setting(10.0, key="Timeout", gt=0, doc="longest wait for the answer, s")
    _worker: str = dataclasses.field(default="", init=False)
    _submitted_s: float = dataclasses.field(default=-math.inf, init=False)  # of the last value sent
    _gaps: MissingValues = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        json_api.check(self.url, "URL")
        self._worker = self.server or self.field
        self._gaps = MissingValues(self.codifier)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        cls("", **given)  # it asks the pool at the first reading

    def read(self) -> Mapping[str, Value]:
        """Return the hash rates; nothing if no work was submitted since the last reading.

        Raises:
            SensorError: no answer, another one than is expected, or no such worker.
        """
        answer = json_api.ask(self.url, timeout_s=self.timeout_s)
        account = json_api.members(answer)
        try:
            if account.get("error"):
                code = account.get("error_code", "unnamed")
                raise SensorError(f"the pool reports an error: {code}")
            submitted_s = _submitted_s(account, self._worker)
            if submitted_s <= self._submitted_s:
                return {}
            own = self.codifier, (self._worker, "hashrate")
            proxies = [
                (each.codifier, (each.field or self._worker, "hashrate_calculated"))
                for each in self.proxy
            ]
            values = self._gaps.collect([own, *proxies], lambda rate: _rate(account, *rate))
        except SensorError as error:
            raise SensorError(f"{answer.address}: {plain(error)}") from error
        self._submitted_s = submitted_s
        return values


def _workers(account: Mapping[str, object]) -> Mapping[str, object]:
    workers = account.get("workers")
    if not isinstance(workers, dict) or not workers:
        raise SensorError("the account has no workers")
    return workers


def _worker(account: Mapping[str, object], name: str) -> Mapping[str, object]:
    workers = _workers(account)
    worker = workers.get(name)
    if not isinstance(worker, dict):
        raise SensorError(f"there is no worker {name}, but {', '.join(sorted(workers))}")
    return worker


def _submitted_s(account: Mapping[str, object], name: str) -> float:
    """Return when a worker submitted last, or any of the account, in s since 1970."""
    ones = [_worker(account, name)] if name else _workers(account).values()
    known = [time_s for time_s in map(_time_s, ones) if time_s is not None]
    if not known:
        raise SensorError("there is no time at last_submit")
    return max(known)


def _time_s(worker: object) -> float | None:
    """Return a worker's time; not by strptime, which needs the names of days in the locale."""
    text = worker.get("last_submit") if isinstance(worker, dict) else None
    try:
        time = parsedate_to_datetime(str(text))
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _rate(account: Mapping[str, object], name: str, key: str) -> float:
    """Return a rate of a worker, or that of the account, which is a total."""
    key = key if name else f"total_{key}"
    found = (_worker(account, name) if name else account).get(key)
    rate = number_of(found)
    if rate is None or isinstance(found, bool | dict):
        raise SensorError(f"{key} is no finite number")
    return rate
