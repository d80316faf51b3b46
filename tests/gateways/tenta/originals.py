"""Databases as other programs left them, for PostgreSQL without TimescaleDB."""

from hashlib import sha512

NETWORK = "00000000-0000-4000-8000-00000000000a"
SENSOR = "00000000-0000-4000-8000-00000000000b"
OTHER = "00000000-0000-4000-8000-00000000000c"
USER = "00000000-0000-4000-8000-00000000000d"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$dJCyRMlWCpjMS7hTQIBKMwXHmRVoTvBY"
TOKEN = "ab" * 32
TOKEN_HASH = sha512(TOKEN.encode()).hexdigest()

_PEOPLE = f"""
CREATE TABLE "user" (identifier uuid PRIMARY KEY, name text UNIQUE NOT NULL,
    creation_timestamp timestamptz NOT NULL, password_hash text NOT NULL);
CREATE TABLE network (identifier uuid PRIMARY KEY, name text UNIQUE NOT NULL,
    creation_timestamp timestamptz NOT NULL);
CREATE TABLE sensor (identifier uuid PRIMARY KEY, name text NOT NULL,
    network_identifier uuid NOT NULL REFERENCES network ON DELETE CASCADE,
    creation_timestamp timestamptz NOT NULL, UNIQUE (network_identifier, name));
CREATE TABLE permission (user_identifier uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
    network_identifier uuid NOT NULL REFERENCES network ON DELETE CASCADE,
    creation_timestamp timestamptz NOT NULL, PRIMARY KEY (user_identifier, network_identifier));
CREATE TABLE session (access_token_hash text PRIMARY KEY,
    user_identifier uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
    creation_timestamp timestamptz NOT NULL);
INSERT INTO "user" VALUES ('{USER}', 'happy-un1c0rn', '2023-05-09 15:00+00', '{HASH}');
INSERT INTO network VALUES ('{NETWORK}', 'greenhouse', '2023-05-09 15:00+00');
INSERT INTO sensor VALUES ('{SENSOR}', 'bed-3', '{NETWORK}', '2023-05-09 15:00+00'),
    ('{OTHER}', 'bed-4', '{NETWORK}', '2023-05-09 15:00+00');
INSERT INTO permission VALUES ('{USER}', '{NETWORK}', '2023-05-09 15:00+00');
INSERT INTO session VALUES ('{TOKEN_HASH}', '{USER}', '2023-05-09 15:00+00');
"""

TENTA = f"""{_PEOPLE}
CREATE TABLE configuration (sensor_identifier uuid NOT NULL REFERENCES sensor ON DELETE CASCADE,
    value jsonb NOT NULL, revision int NOT NULL, creation_timestamp timestamptz NOT NULL,
    publication_timestamp timestamptz, acknowledgment_timestamp timestamptz,
    receipt_timestamp timestamptz, success boolean);
CREATE UNIQUE INDEX ON configuration (sensor_identifier, revision DESC);
CREATE TABLE measurement (sensor_identifier uuid NOT NULL REFERENCES sensor ON DELETE CASCADE,
    attribute text NOT NULL, value double precision NOT NULL, revision int,
    creation_timestamp timestamptz NOT NULL, receipt_timestamp timestamptz NOT NULL);
CREATE TABLE log (sensor_identifier uuid NOT NULL REFERENCES sensor ON DELETE CASCADE,
    message text NOT NULL, severity text NOT NULL, revision int,
    creation_timestamp timestamptz NOT NULL, receipt_timestamp timestamptz NOT NULL);
INSERT INTO configuration VALUES
    ('{SENSOR}', '{{}}', 0, '2023-05-09 15:00+00', '2023-05-09 15:01+00', '2023-05-09 15:02+00',
        '2023-05-09 15:03+00', true),
    ('{SENSOR}', '{{"b": [1], "a": null}}', 1, '2023-05-09 16:00+00', NULL, NULL, NULL, NULL);
INSERT INTO measurement
    SELECT '{SENSOR}', attribute, hour + minute, 0, at, at + interval '1.5 s'
    FROM generate_series(0, 2) AS hour, generate_series(0, 3) AS minute,
        unnest(ARRAY['temperature', 'humidity']) AS attribute,
        LATERAL (SELECT '2023-05-09 15:00:00.123456+00'::timestamptz
            + make_interval(hours => hour, mins => minute) AS at) AS times;
INSERT INTO measurement VALUES
    ('{SENSOR}', 'temperature', 0, 0, '2023-05-09 15:00:00.123456+00', '2023-05-09 15:00:02+00'),
    ('{OTHER}', 'v', 1e308, NULL, '2023-05-09 15:00+00', '2023-05-09 14:00+00'),
    ('{OTHER}', 'v', 1e308, NULL, '2023-05-09 15:01+00', '2023-05-09 14:00+00'),
    ('{OTHER}', 'w', 'NaN', NULL, '2023-05-09 15:01+00', '2023-05-09 14:00+00');
INSERT INTO log VALUES
    ('{SENSOR}', 'The CPU is burning', 'error', NULL, '2023-05-09 15:00+00', '2023-05-09 15:01+00'),
    ('{SENSOR}', 'The CPU is burning', 'error', 1, '2023-05-09 16:00+00', '2023-05-09 15:01+00'),
    ('{SENSOR}', 'Fine', 'info', 1, '2023-05-09 16:00+00', '2023-05-09 16:01+00');
"""

# As before it: a row for each measurement, and logs with a subject.
EARLIER = f"""{_PEOPLE}
CREATE TABLE configuration (sensor_identifier uuid NOT NULL REFERENCES sensor ON DELETE CASCADE,
    value jsonb NOT NULL, revision int NOT NULL, creation_timestamp timestamptz NOT NULL,
    publication_timestamp timestamptz, acknowledgement_timestamp timestamptz,
    receipt_timestamp timestamptz, success boolean);
CREATE TABLE measurement (sensor_identifier uuid NOT NULL REFERENCES sensor ON DELETE CASCADE,
    value jsonb NOT NULL, revision int NOT NULL, creation_timestamp timestamptz NOT NULL,
    receipt_timestamp timestamptz NOT NULL, index int NOT NULL);
CREATE TABLE log (sensor_identifier uuid NOT NULL REFERENCES sensor ON DELETE CASCADE,
    subject text NOT NULL, severity text NOT NULL, revision int NOT NULL,
    creation_timestamp timestamptz NOT NULL, receipt_timestamp timestamptz NOT NULL,
    index int NOT NULL, details text);
INSERT INTO configuration VALUES ('{SENSOR}', '{{"b": [1], "a": null}}', 1,
    '2023-05-09 16:00+00', '2023-05-09 16:01+00', '2023-05-09 16:02+00', '2023-05-09 16:03+00',
    false);
INSERT INTO measurement VALUES
    ('{SENSOR}', '{{"temperature": 1.5, "humidity": 2, "mode": "auto", "on": true}}', 1,
        '2023-05-09 15:00:00.123456+00', '2023-05-09 15:00:01+00', 0),
    ('{SENSOR}', '{{"temperature": 2.5}}', 1, '2023-05-09 16:00+00', '2023-05-09 16:00+00', 0);
INSERT INTO log VALUES
    ('{SENSOR}', 'burning', 'error', 1, '2023-05-09 15:00+00', '2023-05-09 15:01+00', 0, 'cpu'),
    ('{SENSOR}', 'fine', 'info', 1, '2023-05-09 15:02+00', '2023-05-09 15:03+00', 0, NULL);
"""

# As the first hermes: other names of tables and columns.
HERMES = f"""
CREATE TABLE users (user_identifier uuid PRIMARY KEY, username text UNIQUE NOT NULL,
    creation_timestamp timestamptz NOT NULL, password_hash text NOT NULL);
CREATE TABLE networks (network_identifier uuid PRIMARY KEY, network_name text NOT NULL,
    creation_timestamp timestamptz NOT NULL);
CREATE TABLE sensors (sensor_identifier uuid PRIMARY KEY, sensor_name text NOT NULL,
    network_identifier uuid NOT NULL REFERENCES networks, creation_timestamp timestamptz NOT NULL,
    UNIQUE (network_identifier, sensor_name));
CREATE TABLE permissions (user_identifier uuid NOT NULL REFERENCES users,
    network_identifier uuid NOT NULL REFERENCES networks, creation_timestamp timestamptz NOT NULL,
    PRIMARY KEY (user_identifier, network_identifier));
CREATE TABLE sessions (access_token_hash text PRIMARY KEY,
    user_identifier uuid NOT NULL REFERENCES users, creation_timestamp timestamptz NOT NULL);
CREATE TABLE configurations (sensor_identifier uuid NOT NULL REFERENCES sensors,
    revision int NOT NULL, creation_timestamp timestamptz NOT NULL,
    publication_timestamp timestamptz, acknowledgement_timestamp timestamptz,
    ack_reception_timestamp timestamptz, success boolean, configuration jsonb NOT NULL);
CREATE TABLE measurements (sensor_identifier uuid NOT NULL REFERENCES sensors,
    revision int NOT NULL, creation_timestamp timestamptz NOT NULL,
    receipt_timestamp timestamptz NOT NULL, position_in_transmission int NOT NULL,
    measurement jsonb NOT NULL);
CREATE TABLE logs (sensor_identifier uuid NOT NULL REFERENCES sensors, revision int NOT NULL,
    creation_timestamp timestamptz NOT NULL, receipt_timestamp timestamptz NOT NULL,
    position_in_transmission int NOT NULL, severity text NOT NULL, subject text NOT NULL,
    details text);
INSERT INTO users VALUES ('{USER}', 'happy-un1c0rn', '2023-05-09 15:00+00', '{HASH}');
INSERT INTO networks VALUES ('{NETWORK}', 'greenhouse', '2023-05-09 15:00+00');
INSERT INTO sensors VALUES ('{SENSOR}', 'bed-3', '{NETWORK}', '2023-05-09 15:00+00'),
    ('{OTHER}', 'bed-4', '{NETWORK}', '2023-05-09 15:00+00');
INSERT INTO permissions VALUES ('{USER}', '{NETWORK}', '2023-05-09 15:00+00');
INSERT INTO sessions VALUES ('{TOKEN_HASH}', '{USER}', '2023-05-09 15:00+00');
INSERT INTO configurations VALUES ('{SENSOR}', 1, '2023-05-09 16:00+00', '2023-05-09 16:01+00',
    '2023-05-09 16:02+00', '2023-05-09 16:03+00', false, '{{"b": [1], "a": null}}');
INSERT INTO measurements VALUES
    ('{SENSOR}', 1, '2023-05-09 15:00:00.123456+00', '2023-05-09 15:00:01+00', 0,
        '{{"temperature": 1.5, "humidity": 2, "mode": "auto", "on": true}}'),
    ('{SENSOR}', 1, '2023-05-09 16:00+00', '2023-05-09 16:00+00', 0, '{{"temperature": 2.5}}');
INSERT INTO logs VALUES
    ('{SENSOR}', 1, '2023-05-09 15:00+00', '2023-05-09 15:01+00', 0, 'error', 'burning', 'cpu'),
    ('{SENSOR}', 1, '2023-05-09 15:02+00', '2023-05-09 15:03+00', 0, 'info', 'fine', NULL);
"""
