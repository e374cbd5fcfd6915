-- A session's wish: cancel what it has open once it has been gone for so long. One row for each session that is armed.

CREATE TABLE disconnects (
    session_id  TEXT PRIMARY KEY,
    app_id      TEXT   NOT NULL,
    user_id     TEXT   NOT NULL,
    seconds     BIGINT NOT NULL,
    gone_at     BIGINT                            -- when its last connection ended; NULL while it has one
);

ALTER TABLE orders ADD COLUMN session_id TEXT;    -- the session that placed it

DROP INDEX orders_cancel_wanted;                  -- 1: by its user, 2: because its session has gone
CREATE INDEX orders_cancel_wanted ON orders (order_id) WHERE cancel_wanted > 0;
