"""History in PostgreSQL; the tables are those of schema.py.

Strategy: a batch in PostgreSQL's binary form is copied into the table. Where some of its readings
are stored already, which a spare or a spool makes the rule, it is copied into a temporary table
without a key and moved from there by one INSERT that leaves out stored rows; that takes twice as
long. Either is a hundred times as fast as an INSERT for each reading. The marks for statistics are
set in the same transaction. Batches are sorted by key, so that two writers of the same readings
wait for each other in one direction only.
"""

import io
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg2
from psycopg2.errors import UniqueViolation
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from jph.errors import StoreError
from jph.stores import HistoryStore, Row
from jph.stores.buckets import RAW
from jph.stores.postgres import schema
from jph.stores.postgres.binary_copy import Packed, pack
from jph.stores.postgres.connection import PROVISION, Connections, PostgresServer
from jph.stores.postgres.partitions import Partitions
from jph.stores.postgres.span import PostgresSpanReader, ask
from jph.stores.postgres.statistics import PostgresStatistics
from jph.stores.quarantine import Quarantine
from jph.stores.sql import SqlHistory

READ_S = 30  # longest statement of a reader
READER_S = READ_S + 10.0  # and until it gives up on a server that does not answer at all
WRITE_S = 60  # and of a writer
LOCK_S = 10  # longest wait for other programs that hold a lock
WRITERS = 2  # idle connections kept
READERS = 4
REPEATS_S = 600.0  # so long after a reading that was stored already, more of them are expected
STAGING = (
    'CREATE TEMPORARY TABLE staging (codifier text COLLATE "C", timestamp bigint, sequence bigint,'
    " value double precision, text text) ON COMMIT DELETE ROWS"
)
COPY = "COPY {table} FROM STDIN (FORMAT binary)"
MOVE = "INSERT INTO measurement SELECT * FROM staging ON CONFLICT DO NOTHING"
# A mark that is there already is locked and not written again, which spares a quarter of the log.
MARK = f"{schema.MARK.format(query='SELECT * FROM unnest(%s::text[], %s::bigint[])')} WHERE false"
HAS_QUARANTINE = "SELECT 1 FROM pg_class WHERE oid = to_regclass('quarantine')"
STATE = (
    "SELECT current_setting('server_encoding'), current_setting('transaction_read_only'),"
    " current_setting('synchronous_commit'), to_regclass('schema_version') IS NOT NULL"
)

# Compiling would take longer than the queries.
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off"


def open_postgres(url: str, home: Path, password_file: Path | None = None) -> HistoryStore:
    """Open the database that a URL names, `postgresql://user@host:port/database`."""
    return PostgresHistory(PostgresServer(url, password_file))


class PostgresHistory(SqlHistory):
    """History in a database of PostgreSQL; see HistoryStore for the calls.

    Nothing is connected before the first call. The first one that writes makes the tables where
    there are none and the role may.
    """

    path = None

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._writers = Connections(server, self._prepare_writer, WRITERS)
        self._readers = Connections(server, self._prepare_reader, READERS, READER_S)
        self.writing, self.reading = self._writers.lend, self._readers.lend
        super().__init__(self.reading, BEGIN, ask, PostgresSpanReader)
        self._partitions = Partitions()
        self.statistics = PostgresStatistics(self.reading, self.writing, self._partitions)
        self.quarantine = Quarantine(
            self.reading,
            self.writing,
            ask,
            HAS_QUARANTINE,
            (f"SELECT pg_advisory_xact_lock({schema.LOCK})", schema.QUARANTINE),
            Connection.commit,
        )
        self._repeats_until_s = 0.0  # until then some readings are stored already, it is assumed

    def append(self, rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        packed = pack(rows)
        with self.writing() as connection, connection.cursor() as cursor:
            self._partitions.make(connection, ((week, RAW) for week in packed.weeks))
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

    def damaged(self) -> list[str]:
        return []  # its server looks after its files

    def close(self) -> None:
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
                raise self._unusable(f"its encoding is {encoding}: make a database with UTF8")
            if read_only == "on":
                raise self._unusable("it is a standby or read-only: name the primary")
            if not has_tables:
                self._create_tables(connection)
            self._check_version(connection)
            if commits in ("off", "local"):  # what is reported as stored has to be on disk
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
        if version != schema.VERSION:
            reason = f"its tables are of version {version}, this JPH needs {schema.VERSION}"
            advice = "run: jph db upgrade" if version < schema.VERSION else "install a newer JPH"
            raise self._unusable(f"{reason}: {advice}")

    def _unusable(self, reason: str) -> StoreError:
        return StoreError(f"{self._server.name}: {reason}")
