-- name: market
SELECT market_id, status, winner, reference, pairs, last_rank FROM paper_markets WHERE app = $1 AND market_id = $2;

-- name: insert_market
INSERT INTO paper_markets (app, market_id, status, winner, reference, pairs, last_rank)
VALUES ($1, $2, 'open', NULL, $3, 0, 0);

-- name: save_market
UPDATE paper_markets SET status = $3, winner = $4, reference = $5, pairs = $6, last_rank = $7
WHERE app = $1 AND market_id = $2;

-- name: unfinished_resolutions
SELECT app, market_id FROM paper_markets WHERE status = 'closed' AND winner IS NOT NULL;

-- name: account
SELECT account, cash, held, version FROM paper_accounts WHERE app = $1 AND account = $2;

-- name: save_account
INSERT INTO paper_accounts (app, account, cash, held, version)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (app, account) DO UPDATE SET cash = excluded.cash, held = excluded.held, version = excluded.version;

-- name: holding
SELECT free, held FROM paper_holdings WHERE app = $1 AND market_id = $2 AND account = $3 AND outcome_id = $4;

-- name: save_holding
INSERT INTO paper_holdings (app, market_id, account, outcome_id, free, held)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (app, market_id, account, outcome_id) DO UPDATE SET free = excluded.free, held = excluded.held;

-- name: order
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE order_id = $1;

-- name: order_by_ref
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE app = $1 AND account = $2 AND ref = $3;

-- name: order_of_app
SELECT order_id FROM paper_orders WHERE app = $1 AND (order_id = $2 OR ref = $2);

-- name: insert_order
INSERT INTO paper_orders (order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force,
    expires_at, post_only, filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at,
    version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    $20, $21, $22);

-- name: update_order
UPDATE paper_orders SET filled = $2, state = $3, reason = $4, money_held = $5, contracts_held = $6, changed_at = $7,
    version = $8
WHERE order_id = $1;

-- name: resting_asks
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE app = $1 AND market_id = $2 AND is_bid = 0 AND state = 'open'
    AND yes_price <= $3 AND (yes_price, rank) > ($4, $5)
ORDER BY yes_price, rank LIMIT 16;

-- name: resting_bids
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE app = $1 AND market_id = $2 AND is_bid = 1 AND state = 'open'
    AND yes_price >= $3 AND (yes_price < $4 OR (yes_price = $4 AND rank > $5))
ORDER BY yes_price DESC, rank LIMIT 16;

-- name: best_ask
SELECT MIN(yes_price) FROM paper_orders WHERE app = $1 AND market_id = $2 AND is_bid = 0 AND state = 'open';

-- name: best_bid
SELECT MAX(yes_price) FROM paper_orders WHERE app = $1 AND market_id = $2 AND is_bid = 1 AND state = 'open';

-- name: house_orders
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE app = $1 AND market_id = $2 AND state = 'open' AND account = $3
ORDER BY is_bid, yes_price, rank;

-- name: open_of_account
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE app = $1 AND market_id = $2 AND state = 'open' AND account = $3;

-- name: expiring
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE state = 'open' AND expires_at IS NOT NULL AND expires_at <= $1
ORDER BY expires_at LIMIT 100;

-- name: in_market
SELECT account FROM paper_holdings WHERE app = $1 AND market_id = $2 AND free + held <> 0
UNION SELECT account FROM paper_orders WHERE app = $1 AND market_id = $2 AND state = 'open'
ORDER BY account LIMIT 100;

-- name: holdings_of_account
SELECT outcome_id, free, held FROM paper_holdings WHERE app = $1 AND market_id = $2 AND account = $3;

-- name: insert_fill
INSERT INTO paper_fills (app, account, version, fill_id, order_id, price, size, fee, reversed, at, other_fill)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: reverse_fill
UPDATE paper_fills SET reversed = 1, at = $2, version = $3 WHERE fill_id = $1;

-- name: newest_fill
SELECT fill_id, order_id, price, size, fee, reversed, at, other_fill FROM paper_fills
WHERE order_id = $1 AND reversed = 0 ORDER BY version DESC, fill_id DESC LIMIT 1;

-- name: fill
SELECT fill_id, order_id, price, size, fee, reversed, at, other_fill FROM paper_fills WHERE fill_id = $1;

-- name: insert_transfer
INSERT INTO paper_transfers (app, account, version, transfer_id, amount, at)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: insert_settlement
INSERT INTO paper_settlements (app, account, version, market_id, winner, payout, at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: orders_after
SELECT order_id, app, account, ref, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    filled, state, reason, is_bid, yes_price, rank, money_held, contracts_held, changed_at, version
FROM paper_orders WHERE app = $1 AND account = $2 AND version > $3 ORDER BY version, rank;

-- name: fills_after
SELECT fill_id, order_id, price, size, fee, reversed, at, other_fill FROM paper_fills
WHERE app = $1 AND account = $2 AND version > $3 ORDER BY version, fill_id;

-- name: fills_of_order
SELECT fill_id, order_id, price, size, fee, reversed, at, other_fill FROM paper_fills
WHERE order_id = $1 ORDER BY fill_id;

-- name: transfers_after
SELECT transfer_id, amount, at FROM paper_transfers WHERE app = $1 AND account = $2 AND version > $3 ORDER BY version;

-- name: settlements_after
SELECT market_id, winner, payout, at FROM paper_settlements WHERE app = $1 AND account = $2 AND version > $3
ORDER BY version;

-- name: insert_report
INSERT INTO paper_reports (app, account, version) VALUES ($1, $2, $3);

-- name: reports_after
SELECT number, app, account, version FROM paper_reports WHERE number > $1 ORDER BY number LIMIT 500;

-- name: last_report
SELECT MAX(number) FROM paper_reports;

-- name: prune_reports
DELETE FROM paper_reports WHERE number <= (SELECT MAX(number) FROM paper_reports) - $1;

-- name: set_fault
INSERT INTO paper_faults (name, times, delay) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET times = excluded.times, delay = excluded.delay;

-- name: use_fault
UPDATE paper_faults SET times = times - 1 WHERE name = $1 AND times > 0;

-- name: drop_used_fault
DELETE FROM paper_faults WHERE name = $1 AND times <= 0;

-- name: clear_fault
DELETE FROM paper_faults WHERE name = $1;

-- name: faults
SELECT name, times, delay FROM paper_faults ORDER BY name;

-- name: check_money
SELECT a.app,
    (SELECT SUM(cash + held) FROM paper_accounts WHERE app = a.app) +
    (SELECT COALESCE(SUM(pairs), 0) FROM paper_markets WHERE app = a.app) -
    (SELECT COALESCE(SUM(amount), 0) FROM paper_transfers WHERE app = a.app)
FROM paper_accounts a GROUP BY a.app;

-- name: check_outstanding
SELECT m.app, m.market_id, m.pairs, o.outcome_id, COALESCE(SUM(h.free + h.held), 0)
FROM paper_markets m CROSS JOIN (SELECT 'yes' AS outcome_id UNION ALL SELECT 'no') o
LEFT JOIN paper_holdings h ON h.app = m.app AND h.market_id = m.market_id AND h.outcome_id = o.outcome_id
WHERE m.winner IS NULL OR o.outcome_id = m.winner
GROUP BY m.app, m.market_id, m.pairs, o.outcome_id HAVING COALESCE(SUM(h.free + h.held), 0) <> m.pairs;

-- name: check_negative
SELECT app, account, 'money' FROM paper_accounts WHERE cash < 0 OR held < 0
UNION ALL SELECT app, account, market_id || '/' || outcome_id FROM paper_holdings WHERE free < 0 OR held < 0;

-- name: check_holds
SELECT a.app, a.account, a.held, COALESCE((SELECT SUM(o.money_held) FROM paper_orders o
    WHERE o.app = a.app AND o.account = a.account AND o.version >= 0), 0)
FROM paper_accounts a
WHERE a.held <> COALESCE((SELECT SUM(o.money_held) FROM paper_orders o
    WHERE o.app = a.app AND o.account = a.account AND o.version >= 0), 0);

-- name: check_fills
SELECT o.order_id, o.filled, COALESCE((SELECT SUM(f.size) FROM paper_fills f
    WHERE f.order_id = o.order_id AND f.reversed = 0), 0)
FROM paper_orders o
WHERE o.filled <> COALESCE((SELECT SUM(f.size) FROM paper_fills f
    WHERE f.order_id = o.order_id AND f.reversed = 0), 0);
