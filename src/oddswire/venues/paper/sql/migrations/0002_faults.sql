-- Which fill is the other side of a fill, so that both can be taken back; and how the venue is to misbehave.

ALTER TABLE paper_fills ADD COLUMN reversed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE paper_fills ADD COLUMN other_fill TEXT;

CREATE TABLE paper_faults (
    name   TEXT PRIMARY KEY,
    times  BIGINT,                              -- how often more, NULL until it is cleared
    delay  BIGINT NOT NULL                      -- ms
) WITHOUT ROWID;
