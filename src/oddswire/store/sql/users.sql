-- name: page
SELECT t.app_id, t.user_id, t.created_at,
    (SELECT COUNT(*) FROM sessions AS s
     WHERE s.app_id = t.app_id AND s.user_id = t.user_id AND s.revoked_at IS NULL AND s.expires_at > $4),
    (SELECT COUNT(*) FROM orders AS o
     WHERE o.stream_id = t.stream_id AND o.status IN ('pending', 'unconfirmed', 'open', 'partially_filled')),
    t.head, t.last_timestamp
FROM streams AS t
WHERE t.app_id = $1 AND t.user_id > $2
ORDER BY t.user_id LIMIT $3;
