CREATE TABLE sample (
    name  TEXT PRIMARY KEY,
    body  TEXT NOT NULL
);
CREATE TABLE amounts (
    name    TEXT PRIMARY KEY,
    amount  BIGINT NOT NULL
);
