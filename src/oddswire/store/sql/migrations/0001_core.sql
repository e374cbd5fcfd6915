-- Money, prices and sizes are integers of millionths, times Unix epoch milliseconds. Keys are made by the application.

CREATE TABLE streams (
    stream_id       BIGINT PRIMARY KEY,
    app_id          TEXT   NOT NULL,
    user_id         TEXT   NOT NULL,
    head            BIGINT NOT NULL DEFAULT 0,   -- seq of the newest event
    tail            BIGINT NOT NULL DEFAULT 1,   -- seq of the oldest event still kept
    last_timestamp  BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    UNIQUE (app_id, user_id)
);

CREATE TABLE events (
    stream_id  BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    timestamp  BIGINT NOT NULL,
    frame      TEXT   NOT NULL,                   -- the event as it is sent
    PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;

CREATE TABLE apps (
    app_id       TEXT PRIMARY KEY,
    origins      TEXT   NOT NULL,                 -- JSON list
    active       BIGINT NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE api_keys (
    key_hash     TEXT PRIMARY KEY,
    app_id       TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    revoked_at   BIGINT
);
CREATE INDEX api_keys_by_app ON api_keys (app_id);

CREATE TABLE signing_keys (
    kid          TEXT PRIMARY KEY,
    private_jwk  TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    retired_at   BIGINT
);

CREATE TABLE sessions (
    session_id    TEXT PRIMARY KEY,
    app_id        TEXT   NOT NULL,
    user_id       TEXT   NOT NULL,
    refresh_hash  TEXT   NOT NULL UNIQUE,
    label         TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    used_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    revoked_at    BIGINT
);
CREATE INDEX sessions_by_user ON sessions (app_id, user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE revocations (
    number      BIGINT PRIMARY KEY,
    kind        TEXT   NOT NULL,                  -- session | user | app
    app_id      TEXT   NOT NULL,
    subject     TEXT   NOT NULL,                  -- session id, user id, or ''
    at          BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL                   -- every token it speaks of is dead by then
);

CREATE TABLE markets (                            -- what each venue last told of a market
    scope       TEXT   NOT NULL,                  -- app id
    venue       TEXT   NOT NULL,
    market_id   TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    tick        BIGINT NOT NULL,
    size_step   BIGINT NOT NULL,
    min_size    BIGINT NOT NULL,
    max_size    BIGINT NOT NULL,
    fee         BIGINT NOT NULL,
    outcomes    TEXT   NOT NULL,                  -- outcome ids, a space between
    PRIMARY KEY (scope, venue, market_id)
);

CREATE TABLE balances (
    stream_id    BIGINT NOT NULL,
    venue        TEXT   NOT NULL,
    cash         BIGINT NOT NULL,                 -- money that nothing holds
    held         BIGINT NOT NULL,                 -- what unfinished orders hold; cash + held is the wallet
    untold       BIGINT NOT NULL,                 -- the part of `held` that no event has told yet
    cursor       BIGINT,                          -- how far we know this account at the venue
    timestamp    BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    PRIMARY KEY (stream_id, venue)
);

CREATE TABLE holdings (
    stream_id      BIGINT NOT NULL,
    venue          TEXT   NOT NULL,
    market_id      TEXT   NOT NULL,
    outcome_id     TEXT   NOT NULL,
    free           BIGINT NOT NULL,               -- contracts that nothing holds
    held           BIGINT NOT NULL,               -- what unfinished sells hold; free + held is the size
    untold         BIGINT NOT NULL,
    average_price  BIGINT NOT NULL,
    timestamp      BIGINT NOT NULL,
    seq            BIGINT NOT NULL,
    PRIMARY KEY (stream_id, venue, market_id, outcome_id)
);

CREATE TABLE entries (
    entry_id    TEXT PRIMARY KEY,
    stream_id   BIGINT NOT NULL,
    venue       TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    reference   TEXT   NOT NULL,                  -- the order, fill, transfer or settlement it books
    timestamp   BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE postings (
    entry_id    TEXT   NOT NULL,
    line        BIGINT NOT NULL,
    account     TEXT   NOT NULL,
    asset       TEXT   NOT NULL,                  -- usd, or market/outcome
    amount      BIGINT NOT NULL,
    PRIMARY KEY (entry_id, line)
) WITHOUT ROWID;

CREATE TABLE orders (
    order_id          TEXT PRIMARY KEY,
    stream_id         BIGINT NOT NULL,
    venue             TEXT   NOT NULL,
    market_id         TEXT   NOT NULL,
    outcome_id        TEXT   NOT NULL,
    side              TEXT   NOT NULL,
    price             BIGINT NOT NULL,
    size              BIGINT NOT NULL,
    time_in_force     TEXT   NOT NULL,
    expires_at        BIGINT,
    post_only         BIGINT NOT NULL,
    fee               BIGINT NOT NULL,            -- the most the venue may charge a contract
    client_order_id   TEXT,
    origin            TEXT,                       -- 'venue' for one found there
    status            TEXT   NOT NULL,
    filled            BIGINT NOT NULL,
    money_held        BIGINT NOT NULL,
    contracts_held    BIGINT NOT NULL,
    venue_order_id    TEXT,
    submitted         BIGINT NOT NULL,            -- 1 once `order_submitted` has been told
    cancel_wanted     BIGINT NOT NULL,
    error_reason      TEXT,
    mark_node         TEXT   NOT NULL,            -- the sending mark: who sends it …
    mark_deadline     BIGINT NOT NULL,            -- … and until when it may leave or be taken
    created_at        BIGINT NOT NULL,
    timestamp         BIGINT NOT NULL,
    seq               BIGINT NOT NULL             -- 0 until an event has told the order
) WITHOUT ROWID;
CREATE UNIQUE INDEX orders_by_client_id ON orders (stream_id, client_order_id) WHERE client_order_id IS NOT NULL;
CREATE UNIQUE INDEX orders_by_venue_id ON orders (stream_id, venue, venue_order_id) WHERE venue_order_id IS NOT NULL;
CREATE INDEX orders_by_stream ON orders (stream_id, order_id);
CREATE INDEX orders_unsettled ON orders (status, order_id) WHERE status IN ('pending', 'unconfirmed');
CREATE INDEX orders_live ON orders (stream_id, order_id)
    WHERE status IN ('pending', 'unconfirmed', 'open', 'partially_filled');
CREATE INDEX orders_cancel_wanted ON orders (order_id) WHERE cancel_wanted = 1;

CREATE TABLE fills (
    fill_id          TEXT PRIMARY KEY,
    stream_id        BIGINT NOT NULL,
    venue            TEXT   NOT NULL,
    venue_fill_id    TEXT   NOT NULL,
    order_id         TEXT   NOT NULL,
    market_id        TEXT   NOT NULL,
    outcome_id       TEXT   NOT NULL,
    side             TEXT   NOT NULL,
    price            BIGINT NOT NULL,
    size             BIGINT NOT NULL,
    fee              BIGINT NOT NULL,
    reversed         BIGINT NOT NULL,
    source           TEXT   NOT NULL,
    venue_timestamp  BIGINT NOT NULL,
    timestamp        BIGINT NOT NULL,
    seq              BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX fills_by_order ON fills (order_id, venue_fill_id);
CREATE INDEX fills_by_stream ON fills (stream_id, fill_id);
