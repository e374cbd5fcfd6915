-- name: of_app
SELECT key_hash, name, created_at, revoked_at, used_at FROM api_keys WHERE app_id = $1
ORDER BY created_at, name, key_hash;

-- name: insert
INSERT INTO api_keys (key_hash, app_id, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: use
UPDATE api_keys SET used_at = $2
WHERE key_hash = $1 AND revoked_at IS NULL AND (used_at IS NULL OR used_at <= $3);

-- name: last_use
SELECT COALESCE(used_at, 0) FROM api_keys WHERE key_hash = $1;

-- name: revoke
UPDATE api_keys SET revoked_at = $3 WHERE app_id = $1 AND name = $2 AND revoked_at IS NULL;
