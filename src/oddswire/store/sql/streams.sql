-- name: find
SELECT stream_id, app_id, user_id, head, tail, last_timestamp FROM streams WHERE app_id = $1 AND user_id = $2;

-- name: by_id
SELECT stream_id, app_id, user_id, head, tail, last_timestamp FROM streams WHERE stream_id = $1;

-- name: insert
INSERT INTO streams (stream_id, app_id, user_id, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: advance
UPDATE streams SET head = $2, last_timestamp = $3 WHERE stream_id = $1;

-- name: insert_event
INSERT INTO events (stream_id, seq, timestamp, frame) VALUES ($1, $2, $3, $4);

-- name: insert_two_events
INSERT INTO events (stream_id, seq, timestamp, frame) VALUES ($1, $2, $3, $4), ($1, $5, $6, $7);

-- name: page
SELECT seq, frame FROM events WHERE stream_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: heads
SELECT stream_id, head FROM streams WHERE stream_id IN (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
    $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44,
    $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60, $61, $62, $63, $64
);

-- name: longest
SELECT stream_id FROM streams WHERE stream_id > $1 AND head - tail + 1 > $2 ORDER BY stream_id LIMIT $3;

-- name: newest_before
SELECT seq FROM events WHERE stream_id = $1 AND seq <= $2 AND timestamp < $3 ORDER BY seq DESC LIMIT 1;

-- name: raise_tail
UPDATE streams SET tail = $2 WHERE stream_id = $1 AND tail < $2;

-- name: delete_events
DELETE FROM events WHERE stream_id = $1 AND seq < $2;
