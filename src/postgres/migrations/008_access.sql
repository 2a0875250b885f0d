-- Up Migration

-- Who may use the HTTP interface. Only the hash of a token's secret is kept.
CREATE TABLE retrigger_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('emit', 'viewer', 'operator', 'admin')),
    secret_sha256 BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_by TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);

-- Browsers that a token has logged in. `token_id` is null for the token of the settings, whose hash is kept instead.
CREATE TABLE retrigger_sessions (
    id_sha256 BYTEA PRIMARY KEY,
    token_id TEXT REFERENCES retrigger_tokens (id) ON DELETE CASCADE,
    settings_sha256 BYTEA,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK ((token_id IS NULL) <> (settings_sha256 IS NULL))
);
CREATE INDEX retrigger_sessions_age ON retrigger_sessions (created_at);

-- Who did what. A row is written before the action and completed after it: one without a result was interrupted.
CREATE TABLE retrigger_audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL DEFAULT now(),
    actor TEXT NOT NULL,
    role TEXT,
    means TEXT NOT NULL,
    address TEXT,
    token_id TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    result TEXT CHECK (result IN ('done', 'refused', 'failed')),
    status INT,
    detail TEXT,
    finished_at TIMESTAMPTZ
);
CREATE INDEX retrigger_audit_at ON retrigger_audit (at);

-- The responses to requests with an Idempotency-Key. One without a status is under way.
CREATE TABLE retrigger_requests (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    request_sha256 BYTEA NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    status INT,
    headers JSONB,
    body TEXT,
    PRIMARY KEY (actor, key)
);
CREATE INDEX retrigger_requests_age ON retrigger_requests (started_at);

-- Jobs of the inbox that were accepted together with checks, until they are on the queue.
CREATE TABLE retrigger_outbox (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    -- JSON, not JSONB, which refuses some valid strings.
    data JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- What a stream of changes reads each second.
CREATE INDEX retraining_dispatches_updated ON retraining_dispatches (updated_at);

-- Down Migration

DROP INDEX retraining_dispatches_updated;

DROP TABLE retrigger_outbox;
DROP TABLE retrigger_requests;
DROP TABLE retrigger_audit;
DROP TABLE retrigger_sessions;
DROP TABLE retrigger_tokens;
