-- name: by_id
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE order_id = $1;

-- name: by_client_id
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE stream_id = $1 AND client_order_id = $2;

-- name: by_venue_id
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE stream_id = $1 AND venue = $2 AND venue_order_id = $3;

-- name: insert
INSERT INTO orders (order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at,
    post_only, fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28);

-- name: update
UPDATE orders SET status = $2, filled = $3, money_held = $4, contracts_held = $5, venue_order_id = $6, submitted = $7,
    cancel_wanted = $8, error_reason = $9, timestamp = $10, seq = $11
WHERE order_id = $1;

-- name: want_cancel
UPDATE orders SET cancel_wanted = $2 WHERE order_id = $1;

-- name: want_cancel_of_stream
UPDATE orders SET cancel_wanted = $2 WHERE stream_id = $1 AND cancel_wanted = 0
    AND status IN ('pending', 'unconfirmed', 'open', 'partially_filled');

-- name: want_cancel_of_session
UPDATE orders SET cancel_wanted = $3 WHERE stream_id = $1 AND session_id = $2 AND cancel_wanted = 0
    AND status IN ('pending', 'unconfirmed', 'open', 'partially_filled')
RETURNING order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id;

-- name: live
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE stream_id = $1 AND order_id < $2
    AND status IN ('pending', 'unconfirmed', 'open', 'partially_filled')
ORDER BY order_id DESC LIMIT $3;

-- name: live_of_market
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE stream_id = $1 AND venue = $2 AND market_id = $3
    AND status IN ('pending', 'unconfirmed', 'open', 'partially_filled')
ORDER BY order_id;

-- name: page
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE stream_id = $1 AND order_id < $2 AND status <> 'pending' ORDER BY order_id DESC LIMIT $3;

-- name: unsettled
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE status IN ('pending', 'unconfirmed') AND order_id > $1 AND venue = $2
ORDER BY order_id LIMIT $3;

-- name: cancel_wanted
SELECT order_id, stream_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    fee, client_order_id, origin, status, filled, money_held, contracts_held, venue_order_id, submitted,
    cancel_wanted, error_reason, mark_node, mark_deadline, created_at, timestamp, seq, session_id
FROM orders WHERE cancel_wanted > 0 AND order_id > $1 AND venue = $2 ORDER BY order_id LIMIT $3;

-- name: insert_fill
INSERT INTO fills (fill_id, stream_id, venue, venue_fill_id, order_id, market_id, outcome_id, side, price, size, fee,
    reversed, source, venue_timestamp, timestamp, seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (order_id, venue_fill_id) DO UPDATE SET reversed = excluded.reversed, timestamp = excluded.timestamp,
    seq = excluded.seq;

-- name: known_fills
SELECT venue_fill_id, fill_id, reversed FROM fills WHERE order_id = $1;

-- name: trades
SELECT fill_id, reversed, side, price, size FROM fills
WHERE stream_id = $1 AND venue = $2 AND market_id = $3 AND outcome_id = $4;

-- name: fills_page
SELECT fill_id, stream_id, venue, venue_fill_id, order_id, market_id, outcome_id, side, price, size, fee, reversed,
    source, venue_timestamp, timestamp, seq
FROM fills WHERE stream_id = $1 AND fill_id < $2 ORDER BY fill_id DESC LIMIT $3;

-- name: fills_of_order
SELECT fill_id, stream_id, venue, venue_fill_id, order_id, market_id, outcome_id, side, price, size, fee, reversed,
    source, venue_timestamp, timestamp, seq
FROM fills WHERE order_id = $1 AND stream_id = $2 AND fill_id < $3 ORDER BY fill_id DESC LIMIT $4;
