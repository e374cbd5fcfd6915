-- name: newest
SELECT COALESCE(MAX(number), 0) FROM admin_acts;

-- name: insert
INSERT INTO admin_acts (number, at, actor, act, subject, detail) VALUES ($1, $2, $3, $4, $5, $6);

-- name: page
SELECT number, at, actor, act, subject, detail FROM admin_acts
WHERE number < $1 AND at >= $2 ORDER BY number DESC LIMIT $3;

-- name: of_subject
SELECT number, at, actor, act, subject, detail FROM admin_acts
WHERE subject = $1 AND number > $2 ORDER BY number LIMIT $3;

-- name: pseudonymise
UPDATE admin_acts SET subject = $2 WHERE subject = $1;
