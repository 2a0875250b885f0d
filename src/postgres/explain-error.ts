import pg from "pg";
import { messageOf, PermanentError, ServerAwayError, TransientError } from "../core/errors.ts";

/** "localhost:5432/cinematch" of a connection string: what a message may show of it. */
export function databaseAddress(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  return `${url.hostname || "localhost"}:${url.port || "5432"}${url.pathname}`;
}

/** Whether Postgres answered with one of these codes (SQLSTATE). */
export function hasCode(error: unknown, codes: readonly string[]): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && codes.includes(error.code ?? "");
}

/**
 * Turns what `pg` throws into an error that says what failed and what to do. Permanent: what only a person can fix (missing
 * table or column, no privilege, wrong password). Away: the server cannot be reached, or left. Transient: the rest.
 */
export function explainPostgresError(error: unknown, databaseUrl: string): PermanentError | TransientError {
  if (error instanceof PermanentError || error instanceof TransientError) return error;
  const address = databaseAddress(databaseUrl);
  const message = messageOf(error);
  const permanent = (code: string, text: string): PermanentError =>
    new PermanentError(code, text, { cause: error });
  switch (codeOf(error)) {
    case "42P01":
      return permanent(
        "MISSING_TABLE",
        `Missing table in ${address}: ${message}. Source tables are named by DRIFT_ALERTS_TABLE and RATINGS_BUFFER_TABLE; our own are made by: npx retrigger migrate`,
      );
    case "42703":
      return permanent(
        "MISSING_COLUMN",
        `Missing column in ${address}: ${message}. drift_alerts needs id, alert_date, feature_name, drift_score, threshold, alert_triggered, notes; ratings_buffer needs timestamp, batch_id. A view can supply them`,
      );
    case "3F000":
      return permanent(
        "MISSING_SCHEMA",
        `Missing schema in ${address}: ${message}. Check DRIFT_ALERTS_TABLE and RATINGS_BUFFER_TABLE`,
      );
    case "0A000":
      return permanent(
        "NOT_SUPPORTED",
        `Postgres at ${address} cannot change a table: ${message}. Drop the view that stands on retraining_decisions, migrate, then create it again`,
      );
    case "42501":
      if (message.includes("must be owner")) {
        return permanent(
          "NOT_OWNER",
          `Cannot migrate ${address}: ${message}. Run npx retrigger migrate once as the table's owner`,
        );
      }
      return permanent(
        "NO_PRIVILEGE",
        `No privilege in ${address}: ${message}. Grant SELECT on the source tables to this user`,
      );
    case "28P01":
    case "28000":
      return permanent(
        "WRONG_PASSWORD",
        `Postgres at ${address} refuses the login: ${message}. Check user and password in DATABASE_URL`,
      );
    case "3D000":
      return permanent(
        "MISSING_DATABASE",
        `Postgres at ${address}: ${message}. Create it, or correct DATABASE_URL`,
      );
    case "57014":
      return new TransientError(
        "READING_TOO_SLOW",
        `Postgres at ${address} gave up: ${message}. A table may be locked or too large: see pg_stat_activity, and the size of the source tables`,
        { cause: error },
      );
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new ServerAwayError(
        "UNKNOWN_HOST",
        `Unknown host in DATABASE_URL: ${address}. Correct the name`,
        { cause: error },
      );
    case "ECONNREFUSED":
      return new ServerAwayError(
        "POSTGRES_AWAY",
        `Cannot reach Postgres at ${address}. Start it with: docker compose up -d postgres`,
        { cause: error },
      );
    default:
      return explainByKind(error, address);
  }
}

function explainByKind(error: unknown, address: string): PermanentError | TransientError {
  const message = messageOf(error);
  if (isFaultOfTheQuery(error)) {
    return new PermanentError(
      "SOURCE_DATA",
      `Postgres at ${address} cannot answer: ${message}. Check the types of the source tables' columns`,
      { cause: error },
    );
  }
  const text = `Postgres at ${address}: ${message}`;
  return isServerAway(error)
    ? new ServerAwayError("POSTGRES_AWAY", text, { cause: error })
    : new TransientError("POSTGRES", text, { cause: error });
}

/**
 * Errors of the connection: those of the socket, class 08 (connection), 57P (shutting down, starting up), 53 (out of
 * connections, disk or memory) and 25006 (a standby) of SQLSTATE, and those that `pg` has only words for.
 */
function isServerAway(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(08|57P|53|25006)/.test(error.code ?? "");
  return (
    /^E(CONN|PIPE|TIMEDOUT|HOST|NET)/.test(codeOf(error) ?? "") ||
    /^Connection terminated|^timeout e|^Query read timeout|^Client has encountered/.test(messageOf(error))
  );
}

/** Classes 22 (data), 42 (syntax, types), 54 (limits of the program) of SQLSTATE: the same query fails the same way again. */
function isFaultOfTheQuery(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(22|42|54)/.test(error.code ?? "");
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}
