-- name: insert
INSERT INTO sessions (session_id, app_id, user_id, refresh_hash, label, created_at, used_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7);

-- name: by_refresh_hash
SELECT s.session_id, s.app_id, s.user_id, s.label, s.created_at, s.used_at, s.expires_at
FROM sessions AS s JOIN apps AS a ON a.app_id = s.app_id AND a.active = 1
WHERE s.refresh_hash = $1 AND s.app_id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3;

-- name: live_of_user
SELECT session_id, app_id, user_id, label, created_at, used_at, expires_at
FROM sessions
WHERE app_id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3
ORDER BY used_at DESC, session_id DESC LIMIT $4;

-- name: live_by_id
SELECT session_id, app_id, user_id, label, created_at, used_at, expires_at
FROM sessions
WHERE session_id = $1 AND revoked_at IS NULL AND expires_at > $2;

-- name: slide
UPDATE sessions SET used_at = $2, expires_at = $3 WHERE session_id = $1 AND revoked_at IS NULL;

-- name: revoke
UPDATE sessions SET revoked_at = $4
WHERE session_id = $1 AND app_id = $2 AND user_id = $3 AND revoked_at IS NULL AND expires_at > $4;

-- name: newest_of_user
SELECT COALESCE(MAX(created_at), 0) FROM sessions WHERE app_id = $1 AND user_id = $2 AND revoked_at IS NULL;

-- name: revoke_user
UPDATE sessions SET revoked_at = $3 WHERE app_id = $1 AND user_id = $2 AND revoked_at IS NULL;

-- name: sweep
DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE expires_at <= $1 LIMIT $2);

-- name: newest_ahead
SELECT COALESCE(MAX(created_at), 0) FROM sessions WHERE app_id = $1 AND expires_at > $2;

-- name: users_of_app
SELECT DISTINCT user_id FROM sessions WHERE app_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3;

-- name: revoke_users
UPDATE sessions SET revoked_at = $4 WHERE app_id = $1 AND user_id > $2 AND user_id <= $3 AND revoked_at IS NULL;
