"""A store of gateways in PostgreSQL."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg2

from gateways.backend import Dialect, Prepare, Turn
from jph.errors import StoreError
from jph.stores.postgres.connection import PostgresServer, cut_after, has_ended

# The tables or the rights are not as they should be. What else is of the classes of
# these errors is the fault of the data.
_TABLES = (
    "the tables are not as JPH made them: put a copy of the database back, or name another one"
)
NOT_OF_THE_DATA = {
    "3F000": "there is no such schema: make it, or name another one",
    "42501": "this role may not: name the one that owns the tables, or make it their owner",
    "42703": _TABLES,
    "42P01": _TABLES,
}


class PostgresBackend:
    """A database; several programs may write to it at once."""

    dialect: Dialect = "postgresql"
    begin_writing = ""  # the driver begins one by itself
    begin_reading = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, url: str, password_file: Path | None) -> None:
        self._server = PostgresServer(url, password_file)
        self.name = self._server.name
        self.turn = Turn()

    def connect(self, prepare: Prepare) -> Any:
        try:
            connection = self._server.connect()
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SET TIME ZONE 'UTC'")
                    # Pages are read in the order of an index. Where the statistics are not of
                    # today, the planner would rather read and sort all that follows.
                    cursor.execute("SET enable_bitmapscan = off")
                prepare(connection)
                connection.autocommit = False
            except BaseException:
                connection.close()
                raise
        except psycopg2.Error as error:
            converted = self.converted(error)
            if converted is error:  # a statement of a step
                converted = self._server.converted(error)
            raise converted from error
        return connection

    def identity(self) -> object:
        return None

    def is_stale(self, connection: Any, identity: object) -> bool:
        return has_ended(connection)

    def converted(self, error: BaseException) -> BaseException:
        if not isinstance(error, psycopg2.Error):
            return error
        code = error.pgcode or ""
        of_the_data = isinstance(
            error, (psycopg2.IntegrityError, psycopg2.DataError, psycopg2.ProgrammingError)
        ) or code.startswith("54")  # a limit of the server's, as of one row
        if not of_the_data:
            return self._server.converted(error)
        advice = NOT_OF_THE_DATA.get(code)
        said = str(error).strip().partition("\n")[0]
        return StoreError(f"{self.name}: {said}: {advice}") if advice else error

    def limited(self, connection: Any, longest_s: float) -> AbstractContextManager[None]:
        return cut_after(longest_s, connection)
