CREATE TABLE IF NOT EXISTS configuration_schema (identifier UUID PRIMARY KEY, document JSONB NOT NULL);
