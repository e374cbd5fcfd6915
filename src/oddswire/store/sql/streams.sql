-- name: find
SELECT stream_id, app_id, user_id, head, tail, last_timestamp FROM streams WHERE app_id = $1 AND user_id = $2;

-- name: by_id
SELECT stream_id, app_id, user_id, head, tail, last_timestamp FROM streams WHERE stream_id = $1;

-- name: insert
INSERT INTO streams (stream_id, app_id, user_id, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id, user_id) DO NOTHING;

-- name: advance
UPDATE streams SET head = $2, last_timestamp = $3 WHERE stream_id = $1;

-- name: insert_event
INSERT INTO events (stream_id, seq, timestamp, frame) VALUES ($1, $2, $3, $4);

-- name: page
SELECT seq, frame FROM events WHERE stream_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;
