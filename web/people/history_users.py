"""People in the database of the history, as of existing networks and of `jph generateSQL -p`.

They are in its table or view `users` (email, password), with the bcrypt hash of their password.
"""

import logging
from contextlib import closing

from jph.stores.address import StoreAddress

log = logging.getLogger(__name__)

ASK_S = 5  # longest wait for the answer
NO_TABLE = ("42P01", "42703")  # or one of another program, with other columns
NO_PERMISSION = "42501"


def password_hash(place: StoreAddress | None, name: str) -> str | None:
    """Return the hash of somebody's password, None if the database does not know them.

    Args:
        place: the history; only one in PostgreSQL has people.

    Raises:
        StoreError: the database cannot be asked now.
    """
    if place is None or not place.url.lower().startswith("postgresql:"):
        return None
    try:
        import psycopg2

        from jph.stores.postgres.connection import PostgresServer
    except ImportError:  # the history reports it
        return None
    server = PostgresServer(place.url, place.password_file)
    try:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{ASK_S}s'")
            cursor.execute("SELECT password FROM users WHERE email = %s", (name,))
            row = cursor.fetchone()
    except psycopg2.Error as error:
        if error.pgcode in NO_TABLE:
            return None
        if error.pgcode == NO_PERMISSION:
            log.warning("%s", server.converted(error))
            return None
        raise server.converted(error) from error
    except ValueError:  # a name with a NUL
        return None
    return str(row[0]) if row and row[0] else None
