-- What operators did to apps, users and keys. Rows are added in the commit of the act itself and never changed, but
-- that an erased user's id in `subject` gives way to the name that is left of them.

CREATE TABLE admin_acts (
    number   BIGINT PRIMARY KEY,                  -- 1, 2, 3, … in the order of their commits
    at       BIGINT NOT NULL,
    actor    TEXT   NOT NULL,
    act      TEXT   NOT NULL,
    subject  TEXT   NOT NULL,
    detail   TEXT   NOT NULL                      -- JSON, without secrets
);
CREATE INDEX admin_acts_by_subject ON admin_acts (subject);

ALTER TABLE api_keys ADD COLUMN used_at BIGINT;   -- to the hour; NULL: never

CREATE UNIQUE INDEX api_keys_live ON api_keys (app_id, name) WHERE revoked_at IS NULL;
