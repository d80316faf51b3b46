"""The tables of Tenta.

In PostgreSQL they have the names, columns and types of Tenta's own, so that what people wrote to
export their readings goes on, and an existing database is opened where it is: what it lacks is
added, and nothing of it is changed. What is new:

    measurement_1_hour              sum and count of the values of each sensor, attribute and hour,
                                    kept up to date as measurements arrive
    measurement_aggregation_1_hour  a view of their averages, where TimescaleDB keeps none
    log.subject, log.details        of sensors that send these in place of a message
    configuration_schema            the JSON Schema that configurations of a sensor or of a network
                                    have to follow

In SQLite sensors and attributes are integers in the tables that grow, times are microseconds since
1970, `receipt_delay` is how many microseconds after its creation a measurement arrived, and `n`
counts equal ones from 0.

The module has SQLAlchemy's description of those tables that are alike in both. JSON stands for
JSONB there, too, whose module takes 2 MB. A sum that a double cannot hold is stored as Infinity.

Source: https://github.com/iterize/tenta, server/schema.sql
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from gateways.schema import Microseconds
from gateways.steps import Step

HOUR_US = 3_600_000_000
NAMES = ("user", "network", "sensor", "permission", "session", "configuration")

metadata = MetaData()
user = Table(
    "user",
    metadata,
    Column("identifier", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("creation_timestamp", Microseconds, nullable=False),
    Column("password_hash", Text, nullable=False),
)
network = Table(
    "network",
    metadata,
    Column("identifier", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("creation_timestamp", Microseconds, nullable=False),
)
sensor = Table(
    "sensor",
    metadata,
    Column("identifier", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("network_identifier", Uuid, ForeignKey("network.identifier"), nullable=False),
    Column("creation_timestamp", Microseconds, nullable=False),
    UniqueConstraint("network_identifier", "name"),
)
permission = Table(
    "permission",
    metadata,
    Column("user_identifier", Uuid, ForeignKey("user.identifier"), primary_key=True),
    Column("network_identifier", Uuid, ForeignKey("network.identifier"), primary_key=True),
    Column("creation_timestamp", Microseconds, nullable=False),
)
session = Table(
    "session",
    metadata,
    Column("access_token_hash", Text, primary_key=True),
    Column("user_identifier", Uuid, ForeignKey("user.identifier"), nullable=False),
    Column("creation_timestamp", Microseconds, nullable=False),
)
# In both databases one revision of a sensor is there once only; it is no PRIMARY KEY in Tenta.
configuration = Table(
    "configuration",
    metadata,
    Column("sensor_identifier", Uuid, ForeignKey("sensor.identifier"), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("revision", Integer, primary_key=True),
    Column("creation_timestamp", Microseconds, nullable=False),
    Column("publication_timestamp", Microseconds),
    Column("acknowledgment_timestamp", Microseconds),
    Column("receipt_timestamp", Microseconds),
    Column("success", Boolean),
)

configuration_schema = Table(
    "configuration_schema",
    metadata,
    Column("identifier", Uuid, primary_key=True),
    Column("document", JSON, nullable=False),
)

_REFUSE_OTHERS = """
DO $$
DECLARE found TEXT;
BEGIN
    SELECT string_agg(column_name, ' ') INTO found FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = 'measurement';
    IF found LIKE '%codifier%' THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'this database holds a history of JPH, '
            'which has a table measurement, too: name another database for the gateways';
    ELSIF found NOT LIKE '%attribute%' OR found IS NULL AND to_regclass('measurements') IS NOT NULL
            AND to_regclass('sensors') IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'this database holds the tables of an '
            'earlier Tenta or hermes: name a new database, and take the old one over with '
            'jph gateway tenta import postgresql://…';
    END IF;
END $$
"""

_VIEW_UNLESS_THERE = """
DO $$ BEGIN
    IF to_regclass('measurement_aggregation_1_hour') IS NULL THEN
        CREATE VIEW measurement_aggregation_1_hour AS
            SELECT sensor_identifier, attribute, sum / count AS average, bucket_timestamp
            FROM measurement_1_hour;
    END IF;
END $$
"""

# Hours of measurements that were there before us. As in `readings`, a sum may be too large.
_FIRST_SUMS = """
INSERT INTO measurement_1_hour
SELECT sensor_identifier, attribute, date_trunc('hour', creation_timestamp, 'UTC'),
    CASE WHEN max(abs(value)) < 1e290 THEN sum(value) FILTER (WHERE abs(value) < 1e290)
        ELSE 'Infinity' END, count(*)
FROM measurement
WHERE value NOT IN ('NaN', 'Infinity', '-Infinity')
GROUP BY 1, 2, 3
"""

STEPS = (
    Step(
        "tenta",
        sqlite=(
            "CREATE TABLE user (identifier CHAR(32) PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
            " creation_timestamp INTEGER NOT NULL, password_hash TEXT NOT NULL)",
            "CREATE TABLE network (identifier CHAR(32) PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
            " creation_timestamp INTEGER NOT NULL)",
            "CREATE TABLE sensor (number INTEGER PRIMARY KEY AUTOINCREMENT, identifier CHAR(32)"
            " NOT NULL UNIQUE, name TEXT NOT NULL, network_identifier CHAR(32) NOT NULL"
            " REFERENCES network (identifier) ON DELETE CASCADE, creation_timestamp INTEGER"
            " NOT NULL, UNIQUE (network_identifier, name))",
            "CREATE TABLE permission (user_identifier CHAR(32) NOT NULL"
            " REFERENCES user (identifier) ON DELETE CASCADE, network_identifier CHAR(32) NOT NULL"
            " REFERENCES network (identifier) ON DELETE CASCADE, creation_timestamp INTEGER"
            " NOT NULL, PRIMARY KEY (user_identifier, network_identifier))",
            "CREATE TABLE session (access_token_hash TEXT PRIMARY KEY, user_identifier CHAR(32)"
            " NOT NULL REFERENCES user (identifier) ON DELETE CASCADE, creation_timestamp INTEGER"
            " NOT NULL)",
            "CREATE TABLE configuration (sensor_identifier CHAR(32) NOT NULL"
            " REFERENCES sensor (identifier) ON DELETE CASCADE, value JSON NOT NULL,"
            " revision INTEGER NOT NULL, creation_timestamp INTEGER NOT NULL,"
            " publication_timestamp INTEGER, acknowledgment_timestamp INTEGER,"
            " receipt_timestamp INTEGER, success BOOLEAN,"
            " PRIMARY KEY (sensor_identifier, revision))",
            "CREATE TABLE attribute (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
            "CREATE TABLE measurement (sensor INTEGER NOT NULL"
            " REFERENCES sensor (number) ON DELETE CASCADE, creation_timestamp INTEGER NOT NULL,"
            " attribute INTEGER NOT NULL, n INTEGER NOT NULL, value REAL NOT NULL,"
            " revision INTEGER, receipt_delay INTEGER NOT NULL,"
            " PRIMARY KEY (sensor, creation_timestamp, attribute, n)) WITHOUT ROWID",
            "CREATE TABLE measurement_1_hour (sensor INTEGER NOT NULL"
            " REFERENCES sensor (number) ON DELETE CASCADE, hour INTEGER NOT NULL,"
            " attribute INTEGER NOT NULL, sum REAL NOT NULL, count INTEGER NOT NULL,"
            " PRIMARY KEY (sensor, hour, attribute)) WITHOUT ROWID",
            "CREATE TABLE log (number INTEGER PRIMARY KEY AUTOINCREMENT, sensor INTEGER NOT NULL"
            " REFERENCES sensor (number) ON DELETE CASCADE, severity TEXT NOT NULL,"
            " message TEXT NOT NULL, revision INTEGER, creation_timestamp INTEGER NOT NULL,"
            " receipt_timestamp INTEGER NOT NULL, subject TEXT, details TEXT)",
            "CREATE INDEX log_sensor ON log (sensor, creation_timestamp)",
        ),
        postgresql=(
            _REFUSE_OTHERS,
            'CREATE TABLE IF NOT EXISTS "user" (identifier UUID PRIMARY KEY, name TEXT UNIQUE'
            " NOT NULL, creation_timestamp TIMESTAMPTZ NOT NULL, password_hash TEXT NOT NULL)",
            "CREATE TABLE IF NOT EXISTS network (identifier UUID PRIMARY KEY, name TEXT UNIQUE"
            " NOT NULL, creation_timestamp TIMESTAMPTZ NOT NULL)",
            "CREATE TABLE IF NOT EXISTS sensor (identifier UUID PRIMARY KEY, name TEXT NOT NULL,"
            " network_identifier UUID NOT NULL REFERENCES network (identifier) ON DELETE CASCADE,"
            " creation_timestamp TIMESTAMPTZ NOT NULL, UNIQUE (network_identifier, name))",
            "CREATE TABLE IF NOT EXISTS permission (user_identifier UUID NOT NULL"
            ' REFERENCES "user" (identifier) ON DELETE CASCADE, network_identifier UUID NOT NULL'
            " REFERENCES network (identifier) ON DELETE CASCADE, creation_timestamp TIMESTAMPTZ"
            " NOT NULL, PRIMARY KEY (user_identifier, network_identifier))",
            "CREATE TABLE IF NOT EXISTS session (access_token_hash TEXT PRIMARY KEY,"
            ' user_identifier UUID NOT NULL REFERENCES "user" (identifier) ON DELETE CASCADE,'
            " creation_timestamp TIMESTAMPTZ NOT NULL)",
            "CREATE TABLE IF NOT EXISTS configuration (sensor_identifier UUID NOT NULL"
            " REFERENCES sensor (identifier) ON DELETE CASCADE, value JSONB NOT NULL,"
            " revision INT NOT NULL, creation_timestamp TIMESTAMPTZ NOT NULL,"
            " publication_timestamp TIMESTAMPTZ, acknowledgment_timestamp TIMESTAMPTZ,"
            " receipt_timestamp TIMESTAMPTZ, success BOOLEAN)",
            "CREATE UNIQUE INDEX IF NOT EXISTS configuration_sensor_identifier_revision_idx"
            " ON configuration (sensor_identifier ASC, revision DESC)",
            "CREATE TABLE IF NOT EXISTS measurement (sensor_identifier UUID NOT NULL"
            " REFERENCES sensor (identifier) ON DELETE CASCADE, attribute TEXT NOT NULL,"
            " value DOUBLE PRECISION NOT NULL, revision INT,"
            " creation_timestamp TIMESTAMPTZ NOT NULL, receipt_timestamp TIMESTAMPTZ NOT NULL)",
            "CREATE INDEX IF NOT EXISTS measurement_sensor_identifier_creation_timestamp_idx"
            " ON measurement (sensor_identifier, creation_timestamp)",
            "CREATE TABLE IF NOT EXISTS log (sensor_identifier UUID NOT NULL"
            " REFERENCES sensor (identifier) ON DELETE CASCADE, severity TEXT NOT NULL,"
            " message TEXT NOT NULL, revision INT, creation_timestamp TIMESTAMPTZ NOT NULL,"
            " receipt_timestamp TIMESTAMPTZ NOT NULL)",
            "CREATE INDEX IF NOT EXISTS log_sensor_identifier_creation_timestamp_idx"
            " ON log (sensor_identifier, creation_timestamp)",
            "ALTER TABLE log ADD COLUMN IF NOT EXISTS subject TEXT",
            "ALTER TABLE log ADD COLUMN IF NOT EXISTS details TEXT",
            "CREATE TABLE measurement_1_hour (sensor_identifier UUID NOT NULL"
            " REFERENCES sensor (identifier) ON DELETE CASCADE, attribute TEXT NOT NULL,"
            " bucket_timestamp TIMESTAMPTZ NOT NULL, sum DOUBLE PRECISION NOT NULL,"
            " count BIGINT NOT NULL, PRIMARY KEY (sensor_identifier, bucket_timestamp, attribute))",
            _FIRST_SUMS,
            _VIEW_UNLESS_THERE,
        ),
    ),
    Step(
        "tenta",
        sqlite=(
            "CREATE TABLE configuration_schema (identifier CHAR(32) PRIMARY KEY,"
            " document JSON NOT NULL)",
        ),
        postgresql=(
            "CREATE TABLE IF NOT EXISTS configuration_schema (identifier UUID PRIMARY KEY,"
            " document JSONB NOT NULL)",
        ),
    ),
)
