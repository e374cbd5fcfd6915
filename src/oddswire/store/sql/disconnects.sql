-- name: arm
INSERT INTO disconnects (session_id, app_id, user_id, seconds, gone_at, issued_at) VALUES ($1, $2, $3, $4, NULL, $5)
ON CONFLICT (session_id) DO UPDATE SET seconds = excluded.seconds, gone_at = NULL, issued_at =
    CASE WHEN excluded.issued_at > disconnects.issued_at THEN excluded.issued_at ELSE disconnects.issued_at END;

-- name: come
UPDATE disconnects SET gone_at = NULL, issued_at = CASE WHEN $2 > issued_at THEN $2 ELSE issued_at END
WHERE session_id = $1;

-- name: seconds
SELECT seconds FROM disconnects WHERE session_id = $1;

-- name: disarm
DELETE FROM disconnects WHERE session_id = $1;

-- name: set_gone
UPDATE disconnects SET gone_at = $2 WHERE session_id = $1;

-- name: spend
DELETE FROM disconnects WHERE session_id = $1 AND gone_at = $2;

-- name: load
SELECT session_id, app_id, user_id, seconds, gone_at, issued_at FROM disconnects;
