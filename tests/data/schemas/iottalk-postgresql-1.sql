CREATE TABLE iottalk (gateway TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (gateway, kind, key));
