CREATE TABLE measurement (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL, sequence INTEGER NOT NULL, value REAL, text TEXT, PRIMARY KEY (timestamp, codifier, sequence)) WITHOUT ROWID;
CREATE TABLE series (codifier TEXT NOT NULL PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE statistic (resolution INTEGER NOT NULL, codifier TEXT NOT NULL, timestamp INTEGER NOT NULL, mean REAL NOT NULL, mode REAL, median REAL NOT NULL, max REAL NOT NULL, min REAL NOT NULL, stdev REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (resolution, codifier, timestamp)) WITHOUT ROWID;
CREATE TABLE pending (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (timestamp, codifier)) WITHOUT ROWID;
CREATE TABLE unmarked (first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL);
INSERT INTO unmarked SELECT * FROM (SELECT min(first_ms) AS first_ms, max(last_ms) FROM series) WHERE first_ms IS NOT NULL;
CREATE TABLE dropped (resolution INTEGER NOT NULL PRIMARY KEY, before_ms INTEGER NOT NULL);
PRAGMA user_version = 2;
