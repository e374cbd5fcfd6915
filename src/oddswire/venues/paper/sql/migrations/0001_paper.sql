-- The paper venue's own books. An account is `user/<user id>`, `house/<market id>` or `fees`.

CREATE TABLE paper_markets (
    app        TEXT   NOT NULL,
    market_id  TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    winner     TEXT,
    reference  BIGINT NOT NULL,                 -- the price the house quotes around, of YES
    pairs      BIGINT NOT NULL,                 -- YES outstanding = NO outstanding = dollars of collateral
    last_rank  BIGINT NOT NULL,                 -- counts orders: time priority
    PRIMARY KEY (app, market_id)
) WITHOUT ROWID;

CREATE TABLE paper_accounts (
    app      TEXT   NOT NULL,
    account  TEXT   NOT NULL,
    cash     BIGINT NOT NULL,
    held     BIGINT NOT NULL,
    version  BIGINT NOT NULL,                   -- counts the requests that changed this account
    PRIMARY KEY (app, account)
) WITHOUT ROWID;

CREATE TABLE paper_holdings (
    app         TEXT   NOT NULL,
    market_id   TEXT   NOT NULL,
    account     TEXT   NOT NULL,
    outcome_id  TEXT   NOT NULL,
    free        BIGINT NOT NULL,
    held        BIGINT NOT NULL,
    PRIMARY KEY (app, market_id, account, outcome_id)
) WITHOUT ROWID;

CREATE TABLE paper_orders (
    order_id        TEXT PRIMARY KEY,
    app             TEXT   NOT NULL,
    account         TEXT   NOT NULL,
    ref             TEXT,
    market_id       TEXT   NOT NULL,
    outcome_id      TEXT   NOT NULL,
    side            TEXT   NOT NULL,
    price           BIGINT NOT NULL,
    size            BIGINT NOT NULL,
    time_in_force   TEXT   NOT NULL,
    expires_at      BIGINT,
    post_only       BIGINT NOT NULL,
    filled          BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    reason          TEXT,
    is_bid          BIGINT NOT NULL,            -- in the one book, which is of YES
    yes_price       BIGINT NOT NULL,
    rank            BIGINT NOT NULL,
    money_held      BIGINT NOT NULL,
    contracts_held  BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    version         BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX paper_orders_by_ref ON paper_orders (app, account, ref) WHERE ref IS NOT NULL;
CREATE INDEX paper_orders_by_version ON paper_orders (app, account, version);
CREATE INDEX paper_orders_resting ON paper_orders (app, market_id, is_bid, yes_price, rank) WHERE state = 'open';
CREATE INDEX paper_orders_expiring ON paper_orders (expires_at) WHERE state = 'open' AND expires_at IS NOT NULL;

CREATE TABLE paper_fills (
    fill_id    TEXT PRIMARY KEY,
    app        TEXT   NOT NULL,
    account    TEXT   NOT NULL,
    order_id   TEXT   NOT NULL,
    price      BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    fee        BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    version    BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX paper_fills_by_version ON paper_fills (app, account, version);
CREATE INDEX paper_fills_by_order ON paper_fills (order_id);

CREATE TABLE paper_transfers (
    app          TEXT   NOT NULL,
    account      TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    transfer_id  TEXT   NOT NULL,
    amount       BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (app, account, version)
) WITHOUT ROWID;

CREATE TABLE paper_settlements (
    app        TEXT   NOT NULL,
    account    TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    market_id  TEXT   NOT NULL,
    winner     TEXT   NOT NULL,
    payout     BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (app, account, version)
) WITHOUT ROWID;

CREATE TABLE paper_reports (                    -- what the venue's stream says, in commit order
    number   INTEGER PRIMARY KEY,
    app      TEXT   NOT NULL,
    account  TEXT   NOT NULL,                   -- '' for a market's change
    version  BIGINT NOT NULL
);
