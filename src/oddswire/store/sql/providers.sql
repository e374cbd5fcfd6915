-- name: put
INSERT INTO providers (app_id, provider_id, issuer, audience, claim, jwks_url, secret, set_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (app_id) DO UPDATE SET provider_id = excluded.provider_id, issuer = excluded.issuer,
    audience = excluded.audience, claim = excluded.claim, jwks_url = excluded.jwks_url, secret = excluded.secret,
    set_at = excluded.set_at;

-- name: find
SELECT app_id, provider_id, issuer, audience, claim, jwks_url, secret, set_at FROM providers WHERE app_id = $1;

-- name: of_active_apps
SELECT p.app_id, p.provider_id, p.issuer, p.audience, p.claim, p.jwks_url, p.secret, p.set_at
FROM providers AS p JOIN apps AS a ON a.app_id = p.app_id AND a.active = 1
ORDER BY p.app_id;

-- name: remove
DELETE FROM providers WHERE app_id = $1;
