-- name: newest
SELECT COALESCE(MAX(number), 0) FROM revocations;

-- name: insert
INSERT INTO revocations (number, kind, app_id, subject, at, expires_at) VALUES ($1, $2, $3, $4, $5, $6);

-- name: after
SELECT number, kind, app_id, subject, at, expires_at FROM revocations WHERE number > $1 ORDER BY number;

-- name: sweep
DELETE FROM revocations WHERE expires_at <= $1 AND number < (SELECT MAX(number) FROM revocations);
