CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, key TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, retain BOOLEAN NOT NULL, qos INTEGER NOT NULL, created_us INTEGER NOT NULL);
CREATE INDEX outbox_key ON outbox (gateway, key);
CREATE TABLE recent (gateway TEXT NOT NULL, number INTEGER NOT NULL, digests BLOB NOT NULL, PRIMARY KEY (gateway, number)) WITHOUT ROWID;
CREATE TABLE refusal (number INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, at_us INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX refusal_reason ON refusal (gateway, reason, number);
CREATE TABLE refusal_count (gateway TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (gateway, reason)) WITHOUT ROWID;
CREATE TABLE device_seen (gateway TEXT NOT NULL, device TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (gateway, device)) WITHOUT ROWID;
