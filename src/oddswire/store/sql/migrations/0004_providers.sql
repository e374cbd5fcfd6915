-- An app's own identity provider, whose tokens are taken beside ours. Either `jwks_url` or `secret` is there.

CREATE TABLE providers (
    app_id       TEXT PRIMARY KEY,
    provider_id  TEXT   NOT NULL,                 -- another one at each change
    issuer       TEXT   NOT NULL,
    audience     TEXT   NOT NULL,
    claim        TEXT   NOT NULL,                 -- the claim that is the user's id
    jwks_url     TEXT,
    secret       TEXT,
    set_at       BIGINT NOT NULL
);

ALTER TABLE disconnects ADD COLUMN issued_at BIGINT NOT NULL DEFAULT 0;  -- of the newest token it was here with
