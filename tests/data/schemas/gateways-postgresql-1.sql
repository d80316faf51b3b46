CREATE TABLE outbox (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gateway TEXT NOT NULL, key TEXT NOT NULL, topic TEXT NOT NULL, payload BYTEA NOT NULL, retain BOOLEAN NOT NULL, qos INTEGER NOT NULL, created_us BIGINT NOT NULL);
CREATE INDEX outbox_key ON outbox (gateway, key);
CREATE TABLE recent (gateway TEXT NOT NULL, number BIGINT NOT NULL, digests BYTEA NOT NULL, PRIMARY KEY (gateway, number));
CREATE TABLE refusal (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gateway TEXT NOT NULL, at_us BIGINT NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, payload BYTEA NOT NULL);
CREATE INDEX refusal_reason ON refusal (gateway, reason, number);
CREATE TABLE refusal_count (gateway TEXT NOT NULL, reason TEXT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (gateway, reason));
CREATE TABLE device_seen (gateway TEXT NOT NULL, device TEXT NOT NULL, first_us BIGINT NOT NULL, last_us BIGINT NOT NULL, messages BIGINT NOT NULL, PRIMARY KEY (gateway, device));
