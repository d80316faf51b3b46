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
END $$;
CREATE TABLE IF NOT EXISTS "user" (identifier UUID PRIMARY KEY, name TEXT UNIQUE NOT NULL, creation_timestamp TIMESTAMPTZ NOT NULL, password_hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS network (identifier UUID PRIMARY KEY, name TEXT UNIQUE NOT NULL, creation_timestamp TIMESTAMPTZ NOT NULL);
CREATE TABLE IF NOT EXISTS sensor (identifier UUID PRIMARY KEY, name TEXT NOT NULL, network_identifier UUID NOT NULL REFERENCES network (identifier) ON DELETE CASCADE, creation_timestamp TIMESTAMPTZ NOT NULL, UNIQUE (network_identifier, name));
CREATE TABLE IF NOT EXISTS permission (user_identifier UUID NOT NULL REFERENCES "user" (identifier) ON DELETE CASCADE, network_identifier UUID NOT NULL REFERENCES network (identifier) ON DELETE CASCADE, creation_timestamp TIMESTAMPTZ NOT NULL, PRIMARY KEY (user_identifier, network_identifier));
CREATE TABLE IF NOT EXISTS session (access_token_hash TEXT PRIMARY KEY, user_identifier UUID NOT NULL REFERENCES "user" (identifier) ON DELETE CASCADE, creation_timestamp TIMESTAMPTZ NOT NULL);
CREATE TABLE IF NOT EXISTS configuration (sensor_identifier UUID NOT NULL REFERENCES sensor (identifier) ON DELETE CASCADE, value JSONB NOT NULL, revision INT NOT NULL, creation_timestamp TIMESTAMPTZ NOT NULL, publication_timestamp TIMESTAMPTZ, acknowledgment_timestamp TIMESTAMPTZ, receipt_timestamp TIMESTAMPTZ, success BOOLEAN);
CREATE UNIQUE INDEX IF NOT EXISTS configuration_sensor_identifier_revision_idx ON configuration (sensor_identifier ASC, revision DESC);
CREATE TABLE IF NOT EXISTS measurement (sensor_identifier UUID NOT NULL REFERENCES sensor (identifier) ON DELETE CASCADE, attribute TEXT NOT NULL, value DOUBLE PRECISION NOT NULL, revision INT, creation_timestamp TIMESTAMPTZ NOT NULL, receipt_timestamp TIMESTAMPTZ NOT NULL);
CREATE INDEX IF NOT EXISTS measurement_sensor_identifier_creation_timestamp_idx ON measurement (sensor_identifier, creation_timestamp);
CREATE TABLE IF NOT EXISTS log (sensor_identifier UUID NOT NULL REFERENCES sensor (identifier) ON DELETE CASCADE, severity TEXT NOT NULL, message TEXT NOT NULL, revision INT, creation_timestamp TIMESTAMPTZ NOT NULL, receipt_timestamp TIMESTAMPTZ NOT NULL);
CREATE INDEX IF NOT EXISTS log_sensor_identifier_creation_timestamp_idx ON log (sensor_identifier, creation_timestamp);
ALTER TABLE log ADD COLUMN IF NOT EXISTS subject TEXT;
ALTER TABLE log ADD COLUMN IF NOT EXISTS details TEXT;
CREATE TABLE measurement_1_hour (sensor_identifier UUID NOT NULL REFERENCES sensor (identifier) ON DELETE CASCADE, attribute TEXT NOT NULL, bucket_timestamp TIMESTAMPTZ NOT NULL, sum DOUBLE PRECISION NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (sensor_identifier, bucket_timestamp, attribute));
INSERT INTO measurement_1_hour
SELECT sensor_identifier, attribute, date_trunc('hour', creation_timestamp, 'UTC'),
    CASE WHEN max(abs(value)) < 1e290 THEN sum(value) FILTER (WHERE abs(value) < 1e290)
        ELSE 'Infinity' END, count(*)
FROM measurement
WHERE value NOT IN ('NaN', 'Infinity', '-Infinity')
GROUP BY 1, 2, 3;
DO $$ BEGIN
    IF to_regclass('measurement_aggregation_1_hour') IS NULL THEN
        CREATE VIEW measurement_aggregation_1_hour AS
            SELECT sensor_identifier, attribute, sum / count AS average, bucket_timestamp
            FROM measurement_1_hour;
    END IF;
END $$;
