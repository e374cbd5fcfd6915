-- name: insert
INSERT INTO apps (app_id, origins, active, created_at) VALUES ($1, $2, 1, $3) ON CONFLICT (app_id) DO NOTHING;

-- name: find
SELECT app_id, origins, active, created_at, wallet FROM apps WHERE app_id = $1;

-- name: all
SELECT app_id, origins, active, created_at, wallet FROM apps ORDER BY app_id;

-- name: disable
UPDATE apps SET active = 0 WHERE app_id = $1 AND active = 1;

-- name: take_wallets
UPDATE apps SET wallet = $2 WHERE app_id = $1;

-- name: insert_key
INSERT INTO api_keys (key_hash, app_id, name, created_at) VALUES ($1, $2, $3, $4);

-- name: app_of_key
SELECT a.app_id, a.origins, a.active, a.created_at, a.wallet
FROM api_keys AS k JOIN apps AS a ON a.app_id = k.app_id
WHERE k.key_hash = $1 AND k.revoked_at IS NULL;

-- name: enable
UPDATE apps SET active = 1 WHERE app_id = $1 AND active = 0;

-- name: set_origins
UPDATE apps SET origins = $2 WHERE app_id = $1;
