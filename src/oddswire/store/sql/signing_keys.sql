-- name: all
SELECT kid, private_jwk, algorithm, created_at, signs_from, retired_at FROM signing_keys
ORDER BY signs_from, created_at, kid;

-- name: insert
INSERT INTO signing_keys (kid, private_jwk, algorithm, created_at, signs_from) VALUES ($1, $2, $3, $4, $5);

-- name: retire
UPDATE signing_keys SET retired_at = $2, private_jwk = '' WHERE kid = $1 AND retired_at IS NULL;

-- name: delete
DELETE FROM signing_keys WHERE kid = $1;
