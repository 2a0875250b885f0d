-- Up Migration

ALTER TABLE retraining_dispatches ADD COLUMN asked_at TIMESTAMPTZ;

COMMENT ON COLUMN retraining_dispatches.asked_at IS 'Committed before the trainer is asked; a dispatch that has it is never sent again by itself.';

-- What a start looks through for work that Redis forgot.
CREATE INDEX retraining_dispatches_pending ON retraining_dispatches (created_at) WHERE state = 'pending';
CREATE INDEX retraining_events_received ON retraining_events (received_at);

-- Down Migration

DROP INDEX retraining_events_received;
DROP INDEX retraining_dispatches_pending;
ALTER TABLE retraining_dispatches DROP COLUMN asked_at;
