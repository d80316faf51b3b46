"""The address of the history that a component of the configuration writes or reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jph.config.model import Component, Config
from jph.settings import arguments, setting

DEFAULT_HISTORY = "sqlite:///history.sqlite"  # of a HistoryWriter without a URL

# After how long a reading is on the disk, and in the history itself. A file is written rarely,
# since flash wears out by writes; a server, whose tables other programs read, soon.
FILE_BATCH_S = 60.0
FILE_STORE_S = 1200.0
SERVER_BATCH_S = 2.0


@dataclass(frozen=True, slots=True)
class Sql:
    """The SQL block of a component: a database of PostgreSQL.

    Args:
        password: path of the file that holds the password, never the password.
    """

    database: str = setting(doc="name of the database")
    user: str = setting(doc="role that signs in")
    password: Path | None = setting(None, doc="path of the file that holds its password")
    host: str = setting("localhost", doc="name or address of the server")
    port: int = setting(5432, ge=1, le=65535, doc="TCP port of the server")

    @property
    def url(self) -> str:
        """The database as a URL."""
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        user, database = quote(self.user, safe=""), quote(self.database, safe="")
        return f"postgresql://{user}@{host}:{self.port}/{database}"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A history store."""

    url: str
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Settings:
    url: str | None = setting(None)
    sql: Sql | None = setting(None)
    password_file: Path | None = setting(None)
    batch_s: float | None = setting(None, key="BatchTime")
    store_s: float | None = setting(None, key="StoreTime")


def address_of(
    url: str | None, sql: Sql | None, password_file: Path | None = None
) -> StoreAddress | None:
    """Return the address that a URL gives, else an SQL block; None if there is neither."""
    if password_file is None and sql is not None:
        password_file = sql.password
    if url is None and sql is not None:
        url = sql.url
    return None if url is None else StoreAddress(url, password_file)


def writer_address(settings: Mapping[str, object], path: str = "Sensor") -> StoreAddress:
    """Return the address to which a HistoryWriter with these settings writes.

    Raises:
        ConfigError: one of the settings is wrong.
    """
    given = _Settings(**arguments(_Settings, settings, path))  # type: ignore[arg-type]
    return _address(given)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a reading waits at most before a HistoryWriter has brought it to a place, s.

    Args:
        batch_s: to the disk.
        store_s: to the history, where pages and programs find it.
    """

    batch_s: float
    store_s: float


def waits_of(url: str, batch_s: float | None, store_s: float | None) -> Waits:
    """Return the waits of a HistoryWriter with this URL, and these settings where they are set."""
    is_file = url.startswith("sqlite:")
    if store_s is None and batch_s is None and is_file:
        store_s = FILE_STORE_S
    batch_s = batch_s or (FILE_BATCH_S if is_file else SERVER_BATCH_S)
    if not is_file:  # a server has the readings in memory of nobody else
        return Waits(batch_s, batch_s)
    return Waits(min(batch_s, store_s or batch_s), store_s or batch_s)


def writer_waits(writer: Component) -> Waits:
    """Return the waits of a HistoryWriter.

    Raises:
        ConfigError: one of its settings is wrong.
    """
    path = f"Sensors[{writer.index}].Sensor"
    given = _Settings(**arguments(_Settings, writer.settings, path))  # type: ignore[arg-type]
    return waits_of(_address(given).url, given.batch_s, given.store_s)


def longest_store_s(config: Config) -> float:
    """Return how long it takes at most until a reading is in a history, 0 without a writer.

    Raises:
        ConfigError: the settings of a HistoryWriter are wrong.
    """
    writers = [one for one in config.components.values() if one.type == "HistoryWriter"]
    return max((writer_waits(writer).store_s for writer in writers), default=0.0)


def history_address(config: Config, own: StoreAddress | None = None) -> StoreAddress | None:
    """Return the history that a component reads: its own, else that of the first HistoryWriter.

    None if there is none in this network.

    Raises:
        ConfigError: the settings of the HistoryWriter are wrong.
    """
    if own is not None:
        return own
    writer = config.first("HistoryWriter")
    if writer is None:
        return None
    return writer_address(writer.settings, f"Sensors[{writer.index}].Sensor")


def _address(given: _Settings) -> StoreAddress:
    return address_of(given.url, given.sql, given.password_file) or StoreAddress(DEFAULT_HISTORY)
