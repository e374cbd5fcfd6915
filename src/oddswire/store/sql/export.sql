-- Everything that is kept of one user, in pages: $1 (and $2) say whose, then comes the key the last page ended with.

-- name: user
SELECT created_at, head, tail, last_timestamp FROM streams WHERE stream_id = $1;

-- name: sessions
SELECT s.session_id, s.label, s.created_at, s.used_at, s.expires_at, s.revoked_at, d.seconds FROM sessions s
LEFT JOIN disconnects d ON d.session_id = s.session_id
WHERE s.app_id = $1 AND s.user_id = $2 AND s.session_id > $3 ORDER BY s.session_id LIMIT $4;

-- name: balances
SELECT venue, cash, held, timestamp, seq FROM balances WHERE stream_id = $1 AND venue > $2 ORDER BY venue LIMIT $3;

-- name: holdings
SELECT venue, market_id, outcome_id, free, held, average_price, timestamp, seq FROM holdings
WHERE stream_id = $1 AND (venue, market_id, outcome_id) > ($2, $3, $4)
ORDER BY venue, market_id, outcome_id LIMIT $5;

-- name: orders
SELECT order_id, venue, market_id, outcome_id, side, price, size, time_in_force, expires_at, post_only,
    client_order_id, origin, status, filled, venue_order_id, error_reason, session_id, created_at, timestamp, seq
FROM orders WHERE stream_id = $1 AND order_id > $2 ORDER BY order_id LIMIT $3;

-- name: fills
SELECT fill_id, venue, venue_fill_id, order_id, market_id, outcome_id, side, price, size, fee, reversed, source,
    venue_timestamp, timestamp, seq
FROM fills WHERE stream_id = $1 AND fill_id > $2 ORDER BY fill_id LIMIT $3;

-- name: postings
SELECT e.entry_id, p.line, e.venue, e.kind, e.reference, e.timestamp, p.account, p.asset, p.amount
FROM entries e JOIN postings p ON p.entry_id = e.entry_id
WHERE e.stream_id = $1 AND (e.entry_id, p.line) > ($2, $3) ORDER BY e.entry_id, p.line LIMIT $4;

-- name: events
SELECT seq, frame FROM events WHERE stream_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;
