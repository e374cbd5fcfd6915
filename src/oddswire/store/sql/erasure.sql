-- What erasing a user does to each table that names one.

-- name: rename_stream
UPDATE streams SET user_id = $2, tail = head + 1 WHERE stream_id = $1;

-- name: delete_events
DELETE FROM events WHERE stream_id = $1;

-- name: strip_orders
UPDATE orders SET client_order_id = NULL, session_id = NULL, error_reason = NULL WHERE stream_id = $1;

-- name: live_orders
SELECT COUNT(*) FROM orders WHERE stream_id = $1 AND status IN ('pending', 'unconfirmed', 'open', 'partially_filled');

-- name: young_sessions
SELECT session_id FROM sessions WHERE app_id = $1 AND user_id = $2 AND used_at > $3 ORDER BY session_id;

-- name: delete_sessions
DELETE FROM sessions WHERE app_id = $1 AND user_id = $2;

-- name: delete_disconnects
DELETE FROM disconnects WHERE app_id = $1 AND user_id = $2;

-- name: rename_revocations
UPDATE revocations SET subject = $3 WHERE kind = 'user' AND app_id = $1 AND subject = $2;
