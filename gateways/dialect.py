"""What SQLAlchemy has to know of PostgreSQL for the statements of gateways.

Its own package for PostgreSQL takes 2.4 MB of memory for types and drivers that gateways do not
use. Their tables are made by statements of their own, and what they ask is common SQL, which
SQLAlchemy's standard compiler writes.
"""

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.engine.default import DefaultDialect

URL = "postgresql+gateways://"  # of an engine; it has its connections from elsewhere

registry.register("postgresql.gateways", __name__, "Postgres")


class Postgres(DefaultDialect):
    """PostgreSQL by psycopg2, which turns UUIDs, JSON, times and booleans into Python's."""

    name = "postgresql"
    driver = "gateways"
    supports_statement_cache = True
    supports_native_uuid = supports_native_boolean = True
    supports_multivalues_insert = True
    use_insertmanyvalues = use_insertmanyvalues_wo_returning = True  # several rows at once
    insert_returning = update_returning = delete_returning = True
    postfetch_lastrowid = False
    supports_sane_multi_rowcount = False
    _json_serializer = None  # the usual one; SQLAlchemy 2.0 asks for it

    @classmethod
    def import_dbapi(cls) -> Any:
        import psycopg2

        return psycopg2

    @staticmethod
    def _json_deserializer(value: Any) -> Any:
        return value  # psycopg2 has read it

    def is_disconnect(self, e: BaseException, connection: Any, cursor: Any) -> bool:
        """Tell whether an error has ended a connection."""
        return bool(getattr(connection, "closed", False))
