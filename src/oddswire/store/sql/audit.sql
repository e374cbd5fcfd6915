-- Each statement returns what should not be: a row a finding, at most $1 of them. Both sides of an equation are added
-- up by UNION ALL, so that a row missing on either side is found too.

-- name: unbalanced_entries
SELECT entry_id, asset, SUM(amount) FROM postings GROUP BY entry_id, asset HAVING SUM(amount) <> 0
ORDER BY entry_id, asset LIMIT $1;

-- name: orphan_postings
SELECT p.entry_id, COUNT(*) FROM postings p WHERE NOT EXISTS (SELECT 1 FROM entries e WHERE e.entry_id = p.entry_id)
GROUP BY p.entry_id ORDER BY p.entry_id LIMIT $1;

-- name: balances
SELECT x.stream_id, x.venue, SUM(x.cash), SUM(x.posted_cash), SUM(x.held), SUM(x.posted_held) FROM (
    SELECT stream_id, venue, cash, 0 AS posted_cash, held, 0 AS posted_held FROM balances
    UNION ALL
    SELECT e.stream_id, e.venue, 0, CASE WHEN p.account = 'cash' THEN p.amount ELSE 0 END,
        0, CASE WHEN p.account = 'held' THEN p.amount ELSE 0 END
    FROM entries e JOIN postings p ON p.entry_id = e.entry_id
    WHERE p.asset = 'usd' AND p.account IN ('cash', 'held')
) x GROUP BY x.stream_id, x.venue
HAVING SUM(x.cash) <> SUM(x.posted_cash) OR SUM(x.held) <> SUM(x.posted_held)
ORDER BY x.stream_id, x.venue LIMIT $1;

-- name: holdings
SELECT x.stream_id, x.venue, x.asset, SUM(x.free), SUM(x.posted_free), SUM(x.held), SUM(x.posted_held) FROM (
    SELECT stream_id, venue, market_id || '/' || outcome_id AS asset, free, 0 AS posted_free, held, 0 AS posted_held
    FROM holdings
    UNION ALL
    SELECT e.stream_id, e.venue, p.asset, 0, CASE WHEN p.account = 'free' THEN p.amount ELSE 0 END,
        0, CASE WHEN p.account = 'held' THEN p.amount ELSE 0 END
    FROM entries e JOIN postings p ON p.entry_id = e.entry_id
    WHERE p.asset <> 'usd' AND p.account IN ('free', 'held')
) x GROUP BY x.stream_id, x.venue, x.asset
HAVING SUM(x.free) <> SUM(x.posted_free) OR SUM(x.held) <> SUM(x.posted_held)
ORDER BY x.stream_id, x.venue, x.asset LIMIT $1;

-- name: negative_balances
SELECT stream_id, venue, cash, held, untold FROM balances
WHERE cash < 0 OR held < 0 OR untold < 0 OR untold > held ORDER BY stream_id, venue LIMIT $1;

-- name: negative_holdings
SELECT stream_id, venue, market_id || '/' || outcome_id, free, held, untold FROM holdings
WHERE free < 0 OR held < 0 OR untold < 0 OR untold > held ORDER BY stream_id, venue, market_id, outcome_id LIMIT $1;

-- name: finished_orders_that_hold
SELECT stream_id, venue, order_id, status, money_held, contracts_held FROM orders
WHERE status IN ('filled', 'canceled', 'expired', 'rejected') AND (money_held <> 0 OR contracts_held <> 0)
ORDER BY order_id LIMIT $1;

-- name: money_held
SELECT x.stream_id, x.venue, SUM(x.held), SUM(x.orders_held), SUM(x.untold), SUM(x.pending_held) FROM (
    SELECT stream_id, venue, held, 0 AS orders_held, untold, 0 AS pending_held FROM balances
    UNION ALL
    SELECT stream_id, venue, 0, money_held, 0, CASE WHEN status = 'pending' THEN money_held ELSE 0 END FROM orders
    WHERE status IN ('pending', 'unconfirmed', 'open', 'partially_filled')
) x GROUP BY x.stream_id, x.venue
HAVING SUM(x.held) <> SUM(x.orders_held) OR SUM(x.untold) <> SUM(x.pending_held)
ORDER BY x.stream_id, x.venue LIMIT $1;

-- name: contracts_held
SELECT x.stream_id, x.venue, x.asset, SUM(x.held), SUM(x.orders_held), SUM(x.untold), SUM(x.pending_held) FROM (
    SELECT stream_id, venue, market_id || '/' || outcome_id AS asset, held, 0 AS orders_held, untold,
        0 AS pending_held
    FROM holdings
    UNION ALL
    SELECT stream_id, venue, market_id || '/' || outcome_id, 0, contracts_held, 0,
        CASE WHEN status = 'pending' THEN contracts_held ELSE 0 END
    FROM orders WHERE status IN ('pending', 'unconfirmed', 'open', 'partially_filled')
) x GROUP BY x.stream_id, x.venue, x.asset
HAVING SUM(x.held) <> SUM(x.orders_held) OR SUM(x.untold) <> SUM(x.pending_held)
ORDER BY x.stream_id, x.venue, x.asset LIMIT $1;

-- name: filled
SELECT x.stream_id, x.venue, x.order_id, SUM(x.filled), SUM(x.fills) FROM (
    SELECT stream_id, venue, order_id, filled, 0 AS fills FROM orders
    UNION ALL
    SELECT stream_id, venue, order_id, 0, size FROM fills WHERE reversed = 0
) x GROUP BY x.stream_id, x.venue, x.order_id HAVING SUM(x.filled) <> SUM(x.fills)
ORDER BY x.order_id LIMIT $1;

-- name: orphan_events
SELECT stream_id, COUNT(*) FROM events e
WHERE NOT EXISTS (SELECT 1 FROM streams s WHERE s.stream_id = e.stream_id)
GROUP BY stream_id ORDER BY stream_id LIMIT $1;

-- name: streams
SELECT stream_id, app_id, user_id, head, tail, last_timestamp FROM streams WHERE stream_id > $1
ORDER BY stream_id LIMIT $2;

-- name: events
SELECT seq, timestamp, frame FROM events WHERE stream_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: orders
SELECT order_id, venue, submitted, status, created_at, seq FROM orders WHERE stream_id = $1 AND order_id > $2
ORDER BY order_id LIMIT $3;

-- name: counts
SELECT (SELECT COUNT(*) FROM streams), (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM orders),
    (SELECT COUNT(*) FROM entries);

-- name: account_fills
SELECT o.venue_order_id, f.venue_fill_id, f.price, f.size, f.fee, f.reversed FROM fills f
JOIN orders o ON o.order_id = f.order_id WHERE f.stream_id = $1 AND f.venue = $2;
