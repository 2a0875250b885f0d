/** A right on a table, as GRANT names it. */
export type TableRight = "SELECT" | "INSERT" | "UPDATE" | "DELETE";

const READ = ["SELECT"] as const;
const APPEND = ["SELECT", "INSERT"] as const;
const WRITE = ["SELECT", "INSERT", "UPDATE"] as const;
const FOLD = ["SELECT", "INSERT", "DELETE"] as const;
const ALL = ["SELECT", "INSERT", "UPDATE", "DELETE"] as const;

/** Our tables, with the rights that the service needs on each. */
export const OWN_TABLES = {
  retraining_decisions: APPEND,
  retraining_dispatches: WRITE,
  retraining_events: WRITE,
  retraining_snoozes: WRITE,
  retraining_approvals: WRITE,
  retraining_overrides: ALL,
  retraining_reported_checks: APPEND,
  retraining_reported_growth: APPEND,
  retraining_outcomes: ALL,
  retraining_model_versions: ALL,
  retraining_dispatch_counts: READ,
  retraining_dispatch_steps: READ,
  retraining_decision_reasons: READ,
  retraining_pruned: READ,
  retraining_buffer_counters: READ,
  retraining_buffer_counts: FOLD,
  retrigger_audit: WRITE,
  retrigger_tokens: WRITE,
  retrigger_sessions: ALL,
  retrigger_requests: ALL,
  retrigger_outbox: ALL,
  retrigger_migrations: READ,
} as const satisfies Record<string, readonly TableRight[]>;

/** Our functions that the service calls. */
export const SERVICE_FUNCTIONS = [
  "retrigger_counter_problem",
  "retrigger_counter_shape",
  "retrigger_lock_counter",
] as const;

/** Our functions that statements of ours call. */
export const OWN_FUNCTIONS = [
  ...SERVICE_FUNCTIONS,
  "retrigger_define_counter",
  "retrigger_drop_counter",
] as const;

/** One of our tables, as Postgres names it in messages. */
export const OWN_NAME = new RegExp(`\\b(?:${Object.keys(OWN_TABLES).join("|")})\\b(?!\\.)`);
