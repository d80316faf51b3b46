CREATE TABLE measurement (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL, sequence INTEGER NOT NULL, value REAL, text TEXT, PRIMARY KEY (timestamp, codifier, sequence)) WITHOUT ROWID;
CREATE TABLE series (codifier TEXT NOT NULL PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
