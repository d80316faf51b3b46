"""History in PostgreSQL; the tables are those of schema.py.

Strategy: a batch in PostgreSQL's binary form is copied into the table. Where some of its readings
are stored already, which a spare or a spool makes the rule, it is copied into a temporary table
without a key and moved from there by one INSERT that leaves out what is stored; that takes twice as
long. Either is a hundred times as fast as an INSERT for each reading. The marks for statistics are
set in the same transaction. Batches are sorted by key, so that two writers of the same readings
wait for each other in one direction only.
"""

import io
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg2
from psycopg2.errors import UniqueViolation
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from jph.errors import StoreError
from jph.stores import HistoryStore, Row, StatisticsStore
from jph.stores.postgres import schema
from jph.stores.postgres.binary_copy import Packed, pack
from jph.stores.postgres.connection import PROVISION, Connections, PostgresServer
from jph.stores.postgres.span import PostgresSpanReader
from jph.stores.postgres.statistics import PostgresStatistics
from jph.stores.sql import SqlHistory

READ_S = 30  # longest statement of a reader
READER_S = READ_S + 10.0  # and until it gives up on a server that does not answer at all
WRITE_S = 60  # and of a writer
LOCK_S = 10  # longest wait for other programs that hold a lock
WRITERS = 2  # idle connections kept
READERS = 4
REPEATS_S = 600.0  # so long after a reading that was stored already, more of them are expected
PARTITION_CHECK_S = 60.0  # others may drop a partition: it is looked for again after this time


STAGING = (
    'CREATE TEMPORARY TABLE staging (codifier text COLLATE "C", timestamp bigint, sequence bigint,'
    " value double precision, text text) ON COMMIT DELETE ROWS"
)
COPY = "COPY {table} FROM STDIN (FORMAT binary)"
MOVE = "INSERT INTO measurement SELECT * FROM staging ON CONFLICT DO NOTHING"
MARK = schema.MARK.format(query="SELECT * FROM unnest(%s::text[], %s::bigint[])")
STATE = (
    "SELECT current_setting('server_encoding'), current_setting('transaction_read_only'),"
    " current_setting('synchronous_commit'), to_regclass('schema_version') IS NOT NULL"
)

CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def open_postgres(url: str, home: Path, password_file: Path | None = None) -> HistoryStore:
    """Open the database that a URL names, `postgresql://user@host:port/database`."""
    return PostgresHistory(PostgresServer(url, password_file))


class PostgresHistory(SqlHistory):
    """History in a database of PostgreSQL; see HistoryStore for the calls.

    Nothing is connected before the first call. The first one that writes makes the tables where
    there are none and the role may.
    """

    SPAN_READER = PostgresSpanReader
    # Compiling would take longer than the queries.
    BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._writers = Connections(server, self._prepare_writer, WRITERS)
        self._readers = Connections(server, self._prepare_reader, READERS, READER_S)
        self._statistics = PostgresStatistics(self.reading, self.writing)
        self._repeats_until_s = 0.0  # until then some readings are stored already, it is assumed
        self._partitions: dict[int, float] = {}  # week: when it was looked for, monotonic

    def writing(self) -> AbstractContextManager[Connection]:
        """Lend a connection in a transaction, which the borrower commits."""
        return self._writers.lend()

    def reading(self) -> AbstractContextManager[Connection]:
        """Lend a connection that only reads, without transactions."""
        return self._readers.lend()

    def append(self, rows: Sequence[Row]) -> int:
        """Store rows durably, all or none, in any order; return how many were new."""
        if not rows:
            return 0
        packed = pack(rows)
        with self.writing() as connection, connection.cursor() as cursor:
            self._need_partitions(connection, packed.weeks)
            if time.monotonic() >= self._repeats_until_s:
                try:
                    self._copy(cursor, "measurement", packed)
                    self._mark(cursor, packed)
                    connection.commit()
                    return len(rows)
                except UniqueViolation:
                    connection.rollback()
            self._copy(cursor, "staging", packed)
            cursor.execute(MOVE)
            added = cursor.rowcount
            self._mark(cursor, packed)
            connection.commit()
        if added < len(rows):
            self._repeats_until_s = time.monotonic() + REPEATS_S
        return added

    @staticmethod
    def _copy(cursor: Cursor, table: str, packed: Packed) -> None:
        # In one piece: between two of them other threads would take the interpreter for 5 ms.
        content = io.BytesIO(packed.content)
        cursor.copy_expert(COPY.format(table=table), content, len(packed.content))

    @staticmethod
    def _mark(cursor: Cursor, packed: Packed) -> None:
        if packed.marks:
            codifiers, ends_ms = zip(*packed.marks, strict=True)
            cursor.execute(MARK, (list(codifiers), list(ends_ms)))

    @property
    def statistics(self) -> StatisticsStore:
        """The statistics of this history."""
        return self._statistics

    def close(self) -> None:
        """Close all connections."""
        self._writers.close()
        self._readers.close()

    # Connections

    def _prepare_reader(self, connection: Connection) -> None:
        connection.set_session(readonly=True, autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{READ_S}s'")

    def _prepare_writer(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(STATE)
            row = cursor.fetchone()
            assert row is not None
            encoding, read_only, commits, has_tables = row
            if encoding != "UTF8":
                raise self._unusable(f"the encoding is {encoding}: make a database with UTF8")
            if read_only == "on":
                raise self._unusable("it must not be written, a standby or read-only: name another")
            if not has_tables:
                self._create_tables(connection)
            self._check_version(connection)
            if commits in ("off", "local"):  # what is reported as stored has to be on the disk
                cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET statement_timeout = '{WRITE_S}s'")
            cursor.execute(f"SET lock_timeout = '{LOCK_S}s'")
            cursor.execute(STAGING)
            connection.commit()

    def _create_tables(self, connection: Connection) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_xact_lock({schema.LOCK})")
                for statement in schema.create():
                    cursor.execute(statement)
                connection.commit()
        except psycopg2.Error as error:
            if error.pgcode in ("42501", "3F000"):  # may not, or in no schema
                raise self._unusable(
                    f"there are no tables, and this role may not make them: {PROVISION}"
                ) from error
            raise

    def _check_version(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version FROM schema_version")
            version = (cursor.fetchone() or (0,))[0]
        if version < schema.VERSION:
            raise self._unusable(
                f"its tables are of version {version}, this JPH needs {schema.VERSION}: "
                "run: jph db upgrade"
            )
        if version > schema.VERSION:
            raise self._unusable(
                f"its tables are of a newer JPH (version {version}, known up to "
                f"{schema.VERSION}): install that one"
            )

    def _need_partitions(self, connection: Connection, weeks: Iterable[int]) -> None:
        """Make the partitions that are missing, each in a transaction of its own."""
        now_s = time.monotonic()
        limit_s = now_s - PARTITION_CHECK_S
        wanted = sorted(week for week in weeks if self._partitions.get(week, limit_s) <= limit_s)
        if not wanted:
            return
        with connection.cursor() as cursor:
            cursor.execute(CLOCK)
            now_ms = (cursor.fetchone() or (0,))[0]
            for week in wanted:
                if schema.has_partition(week, now_ms):
                    cursor.execute("SELECT to_regclass(%s)", (schema.partition(week),))
                    if cursor.fetchone() == (None,):
                        cursor.execute(schema.add_partition(week))
                        connection.commit()
                self._partitions[week] = now_s

    def _unusable(self, reason: str) -> StoreError:
        return StoreError(f"{self._server.name}: {reason}")
