-- name: insert
INSERT INTO wallet_nonces (nonce_hash, app_id, issued_at, expires_at) VALUES ($1, $2, $3, $4);

-- name: take
DELETE FROM wallet_nonces WHERE nonce_hash = $1 AND app_id = $2 AND expires_at > $3 RETURNING issued_at;

-- name: sweep
DELETE FROM wallet_nonces
WHERE nonce_hash IN (SELECT nonce_hash FROM wallet_nonces WHERE expires_at <= $1 LIMIT $2);
