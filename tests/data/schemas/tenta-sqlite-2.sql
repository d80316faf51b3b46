CREATE TABLE configuration_schema (identifier CHAR(32) PRIMARY KEY, document JSON NOT NULL);
