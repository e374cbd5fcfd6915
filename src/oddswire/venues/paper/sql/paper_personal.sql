-- What the paper venue keeps of one account, and what erasing its user does to each table that names it.

-- name: account
SELECT account, cash, held FROM paper_accounts WHERE app = $1 AND account = $2 AND account > $3 LIMIT $4;

-- name: holdings
SELECT market_id, outcome_id, free, held FROM paper_holdings
WHERE app = $1 AND account = $2 AND (market_id, outcome_id) > ($3, $4) ORDER BY market_id, outcome_id LIMIT $5;

-- name: orders
SELECT order_id, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only, filled, state,
    reason, changed_at
FROM paper_orders WHERE app = $1 AND account = $2 AND order_id > $3 ORDER BY order_id LIMIT $4;

-- name: fills
SELECT fill_id, order_id, price, size, fee, reversed, at FROM paper_fills
WHERE app = $1 AND account = $2 AND fill_id > $3 ORDER BY fill_id LIMIT $4;

-- name: transfers
SELECT version, transfer_id, amount, at FROM paper_transfers
WHERE app = $1 AND account = $2 AND version > $3 ORDER BY version LIMIT $4;

-- name: settlements
SELECT version, market_id, winner, payout, at FROM paper_settlements
WHERE app = $1 AND account = $2 AND version > $3 ORDER BY version LIMIT $4;

-- name: rename_account
UPDATE paper_accounts SET account = $3 WHERE app = $1 AND account = $2;

-- name: rename_holdings
UPDATE paper_holdings SET account = $3 WHERE app = $1 AND account = $2;

-- name: rename_orders
UPDATE paper_orders SET account = $3 WHERE app = $1 AND account = $2;

-- name: rename_fills
UPDATE paper_fills SET account = $3 WHERE app = $1 AND account = $2;

-- name: rename_transfers
UPDATE paper_transfers SET account = $3 WHERE app = $1 AND account = $2;

-- name: rename_settlements
UPDATE paper_settlements SET account = $3 WHERE app = $1 AND account = $2;

-- name: rename_reports
UPDATE paper_reports SET account = $3 WHERE app = $1 AND account = $2;
