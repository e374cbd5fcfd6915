-- name: insert
INSERT INTO sample VALUES ($1, $2);

-- name: insert_or_roll_back
INSERT OR ROLLBACK INTO sample VALUES ($1, $2);

-- name: insert_many
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
INSERT INTO sample SELECT $1 || '/' || i, $3 FROM n;

-- name: names
SELECT name FROM sample ORDER BY name;

-- name: add
INSERT INTO amounts VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET amount = amounts.amount + excluded.amount;

-- name: amount
SELECT amount FROM amounts WHERE name = $1;
