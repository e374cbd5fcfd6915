-- name: open
SELECT s.stream_id, s.app_id, s.user_id, s.head, s.tail, s.last_timestamp, b.cash, b.held, b.untold, b.timestamp,
    b.seq, b.cursor
FROM streams s LEFT JOIN balances b ON b.stream_id = s.stream_id AND b.venue = $3
WHERE s.app_id = $1 AND s.user_id = $2;

-- name: account
SELECT cash, held, untold, timestamp, seq, cursor FROM balances WHERE stream_id = $1 AND venue = $2;

-- name: set_cursor
UPDATE balances SET cursor = $3 WHERE stream_id = $1 AND venue = $2;

-- name: save_balance
INSERT INTO balances (stream_id, venue, cash, held, untold, timestamp, seq, cursor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (stream_id, venue) DO UPDATE SET cash = excluded.cash, held = excluded.held, untold = excluded.untold,
    timestamp = excluded.timestamp, seq = excluded.seq, cursor = excluded.cursor;

-- name: balances
SELECT venue, cash, held, untold, timestamp, seq FROM balances WHERE stream_id = $1 ORDER BY venue;

-- name: accounts
SELECT b.stream_id, s.app_id, s.user_id, b.cursor FROM balances b JOIN streams s ON s.stream_id = b.stream_id
WHERE b.venue = $1 AND b.stream_id > $2 ORDER BY b.stream_id LIMIT $3;

-- name: without_account
SELECT s.stream_id, s.app_id, s.user_id, NULL FROM streams s
LEFT JOIN balances b ON b.stream_id = s.stream_id AND b.venue = $1
WHERE b.stream_id IS NULL AND s.stream_id > $2 ORDER BY s.stream_id LIMIT $3;

-- name: holding
SELECT market_id, outcome_id, free, held, untold, average_price, timestamp, seq FROM holdings
WHERE stream_id = $1 AND venue = $2 AND market_id = $3 AND outcome_id = $4;

-- name: holdings_of_market
SELECT market_id, outcome_id, free, held, untold, average_price, timestamp, seq FROM holdings
WHERE stream_id = $1 AND venue = $2 AND market_id = $3;

-- name: holdings
SELECT venue, market_id, outcome_id, free, held, untold, average_price, timestamp, seq FROM holdings
WHERE stream_id = $1 AND free + held <> 0 ORDER BY venue, market_id, outcome_id;

-- name: save_holding
INSERT INTO holdings (stream_id, venue, market_id, outcome_id, free, held, untold, average_price, timestamp, seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (stream_id, venue, market_id, outcome_id) DO UPDATE SET free = excluded.free, held = excluded.held,
    untold = excluded.untold, average_price = excluded.average_price, timestamp = excluded.timestamp,
    seq = excluded.seq;

-- name: insert_entry
INSERT INTO entries (entry_id, stream_id, venue, kind, reference, timestamp)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: insert_posting
INSERT INTO postings (entry_id, line, account, asset, amount)
VALUES ($1, $2, $3, $4, $5);

-- name: insert_two_postings
INSERT INTO postings (entry_id, line, account, asset, amount)
VALUES ($1, $2, $3, $4, $5), ($1, $6, $7, $8, $9);

-- name: has_entry
SELECT 1 FROM entries WHERE entry_id = $1;

-- name: market
SELECT market_id, status, tick, size_step, min_size, max_size, fee, outcomes FROM markets
WHERE scope = $1 AND venue = $2 AND market_id = $3;

-- name: save_market
INSERT INTO markets (scope, venue, market_id, status, tick, size_step, min_size, max_size, fee, outcomes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (scope, venue, market_id) DO UPDATE SET status = excluded.status, tick = excluded.tick,
    size_step = excluded.size_step, min_size = excluded.min_size, max_size = excluded.max_size, fee = excluded.fee,
    outcomes = excluded.outcomes;

-- name: market_scopes
SELECT DISTINCT scope FROM markets WHERE venue = $1;
