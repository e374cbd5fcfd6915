-- name: all
SELECT kid, private_jwk, created_at, retired_at FROM signing_keys ORDER BY created_at, kid;

-- name: insert
INSERT INTO signing_keys (kid, private_jwk, created_at) VALUES ($1, $2, $3);
