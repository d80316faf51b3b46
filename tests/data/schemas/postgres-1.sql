CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL);
INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT FROM schema_version);
CREATE TABLE IF NOT EXISTS measurement (codifier text COLLATE "C" NOT NULL, timestamp bigint NOT NULL, sequence bigint NOT NULL, value double precision, text text, PRIMARY KEY (codifier, timestamp, sequence)) PARTITION BY RANGE (timestamp);
CREATE TABLE IF NOT EXISTS measurement_default PARTITION OF measurement DEFAULT;
CREATE TABLE IF NOT EXISTS statistic (resolution smallint NOT NULL, codifier text COLLATE "C" NOT NULL, timestamp bigint NOT NULL, mean double precision NOT NULL, mode double precision, median double precision NOT NULL, max double precision NOT NULL, min double precision NOT NULL, stdev double precision NOT NULL, count bigint NOT NULL, PRIMARY KEY (resolution, codifier, timestamp)) PARTITION BY RANGE (resolution, timestamp);
CREATE TABLE IF NOT EXISTS statistic_default PARTITION OF statistic DEFAULT;
CREATE TABLE IF NOT EXISTS pending (codifier text COLLATE "C" NOT NULL, timestamp bigint NOT NULL, PRIMARY KEY (timestamp, codifier)) WITH (fillfactor = 40);
CREATE TABLE IF NOT EXISTS dropped (resolution smallint PRIMARY KEY, before_ms bigint NOT NULL);
UPDATE schema_version SET version = 1 WHERE version < 1;
