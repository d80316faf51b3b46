"""What a gateway of IoTtalk keeps: devices, graphs and attached programs, each a JSON document."""

from collections.abc import Iterator

from sqlalchemy import Column, Connection, MetaData, Table, Text, select, text

from gateways.steps import Step

_TABLE = (
    "CREATE TABLE iottalk (gateway TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,"
    " document TEXT NOT NULL, PRIMARY KEY (gateway, kind, key))"
)
STEPS = (Step("iottalk", sqlite=(f"{_TABLE} WITHOUT ROWID",), postgresql=(_TABLE,)),)

metadata = MetaData()
kept = Table(
    "iottalk",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("document", Text, nullable=False),
)
KEEP = text(
    "INSERT INTO iottalk VALUES (:gateway, :kind, :key, :document)"
    " ON CONFLICT (gateway, kind, key) DO UPDATE SET document = excluded.document"
)


def documents(connection: Connection, gateway: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, key and document of all that a gateway keeps."""
    query = select(kept.c.kind, kept.c.key, kept.c.document).where(kept.c.gateway == gateway)
    for row in connection.execute(query):
        yield tuple(row)
