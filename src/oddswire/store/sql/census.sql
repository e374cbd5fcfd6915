-- name: unsettled
SELECT venue, status, COUNT(*), MIN(created_at) FROM orders WHERE status IN ('pending', 'unconfirmed')
GROUP BY venue, status;
