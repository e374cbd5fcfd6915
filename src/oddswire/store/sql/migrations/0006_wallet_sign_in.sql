-- Sign-in by wallet (EIP-4361): which apps take it, and the nonces that wait for a signature.

ALTER TABLE apps ADD COLUMN wallet BIGINT NOT NULL DEFAULT 0;    -- 1 once an operator has switched it on

CREATE TABLE wallet_nonces (
    nonce_hash  TEXT PRIMARY KEY,                                 -- the nonce itself is nowhere kept
    app_id      TEXT   NOT NULL,
    issued_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX wallet_nonces_by_expiry ON wallet_nonces (expires_at);
