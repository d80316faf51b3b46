"""Databases as other programs left them, for PostgreSQL without TimescaleDB."""

NETWORK = "00000000-0000-4000-8000-00000000000a"
SENSOR = "00000000-0000-4000-8000-00000000000b"
OTHER = "00000000-0000-4000-8000-00000000000c"
USER = "00000000-0000-4000-8000-00000000000d"
HASH = (  # of the password "12345678"
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$"
    "dJCyRMlWCpjMS7hTQIBKMwXHmRVoTvBYIiU1XrYNHIE"
)

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
INSERT INTO session VALUES ('{"ab" * 64}', '{USER}', '2023-05-09 15:00+00');
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
