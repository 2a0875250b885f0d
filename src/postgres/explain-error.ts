import pg from "pg";
import { messageOf, PermanentError, ServerAwayError, TransientError } from "../core/errors.ts";
import { listHosts } from "./connection.ts";
import { OWN_NAME } from "./own-tables.ts";

/** The part of a connection string that messages may show: "localhost:5432/cinematch". */
export function databaseAddress(databaseUrl: string): string {
  const hosts = listHosts(databaseUrl).map(({ host, port }) => `${host}:${port}`);
  return `${hosts.join(",")}${new URL(databaseUrl).pathname}`;
}

/** Whether Postgres reported one of these codes (SQLSTATE). */
export function hasCode(error: unknown, codes: readonly string[]): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && codes.includes(error.code ?? "");
}

/** SQLSTATE: the transaction is read-only. */
export const READ_ONLY = "25006";

/** SQLSTATE: the role lacks a right. */
export const INSUFFICIENT_PRIVILEGE = "42501";

type Explained = PermanentError | TransientError;

/** What an error of one kind means to the reader, and what to do about it. */
interface Explanation {
  /** SQLSTATE, or the system's code of a failed connection. */
  states: readonly string[];
  /** Applies only if the message matches. */
  matches?: RegExp;
  error: new (code: string, message: string, options: ErrorOptions) => Explained;
  code: string;
  text: (address: string, message: string, variable: string) => string;
  remedy: string | ((variable: string) => string);
}

/** The variable of Retrigger's own database. */
const DEFAULT_VARIABLE = "DATABASE_URL";

/** Codes of OpenSSL and Node about a certificate. */
const CERTIFICATE_FAULTS: readonly string[] = [
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_SIGNATURE_FAILURE",
  "ERR_TLS_CERT_ALTNAME_INVALID",
];

/** The first one that applies is used. */
const EXPLANATIONS: readonly Explanation[] = [
  {
    states: ["42P01"],
    matches: OWN_NAME,
    error: PermanentError,
    code: "MISSING_TABLE",
    text: (address, message) => `Missing table in ${address}: ${message}`,
    remedy: "Create it with: npx retrigger migrate",
  },
  {
    states: ["42P01"],
    error: PermanentError,
    code: "MISSING_TABLE",
    text: (address, message) => `Missing table in ${address}: ${message}`,
    remedy: "Correct DRIFT_ALERTS_TABLE or RATINGS_BUFFER_TABLE, or create a view: see docs/sources.md",
  },
  {
    states: ["42703"],
    matches: OWN_NAME,
    error: PermanentError,
    code: "MISSING_COLUMN",
    text: (address, message) => `Missing column in ${address}: ${message}`,
    remedy: "Add it with: npx retrigger migrate",
  },
  {
    states: ["42703"],
    error: PermanentError,
    code: "MISSING_COLUMN",
    text: (address, message) => `Missing column in ${address}: ${message}`,
    remedy:
      "drift_alerts needs id, alert_date, feature_name, drift_score, threshold, alert_triggered, notes; ratings_buffer needs timestamp, batch_id. A view can supply them",
  },
  {
    states: ["3F000"],
    error: PermanentError,
    code: "MISSING_SCHEMA",
    text: (address, message) => `Missing schema in ${address}: ${message}`,
    remedy: "Check DRIFT_ALERTS_TABLE and RATINGS_BUFFER_TABLE",
  },
  {
    states: ["0A000"],
    error: PermanentError,
    code: "NOT_SUPPORTED",
    text: (address, message) => `Postgres at ${address} cannot change a table: ${message}`,
    remedy: "Drop the view that depends on retraining_decisions, migrate, then create it again",
  },
  {
    states: [INSUFFICIENT_PRIVILEGE],
    matches: /must be owner/,
    error: PermanentError,
    code: "NOT_OWNER",
    text: (address, message) => `Cannot migrate ${address}: ${message}`,
    remedy: "Run npx retrigger migrate once as the table's owner",
  },
  {
    states: [INSUFFICIENT_PRIVILEGE],
    error: PermanentError,
    code: "NO_PRIVILEGE",
    text: (address, message) => `No privilege in ${address}: ${message}`,
    remedy: "npx retrigger doctor prints the GRANT to run",
  },
  {
    states: ["28P01", "28000"],
    error: PermanentError,
    code: "WRONG_PASSWORD",
    text: (address, message) => `Postgres at ${address} rejected the login: ${message}`,
    remedy: (variable) => `Check the user and password in ${variable}`,
  },
  {
    states: ["3D000"],
    error: PermanentError,
    code: "MISSING_DATABASE",
    text: (address, message) => `Postgres at ${address}: ${message}`,
    remedy: (variable) => `Create it, or correct ${variable}`,
  },
  {
    states: ["57014"],
    error: TransientError,
    code: "READING_TOO_SLOW",
    text: (address, message) => `Postgres at ${address} cancelled the query: ${message}`,
    remedy: "A table may be locked or too large: check pg_stat_activity and the size of the source tables",
  },
  {
    states: ["", "EPROTO"],
    matches: /server does not support SSL|wrong version number/,
    error: PermanentError,
    code: "NO_TLS",
    text: (address) =>
      `Postgres at ${address} offers no TLS, which is the default for hosts that are not local`,
    remedy: (variable) =>
      `Turn it on there or, in a network that you trust, add sslmode=disable to ${variable}`,
  },
  {
    states: CERTIFICATE_FAULTS,
    error: PermanentError,
    code: "BAD_CERTIFICATE",
    text: (address, message) => `The certificate of Postgres at ${address} cannot be verified: ${message}`,
    remedy: (variable) =>
      `Add sslrootcert=FILE with the provider's certificate to ${variable}, or name the file in NODE_EXTRA_CA_CERTS; sslmode=no-verify goes without, and anyone on the way can read and change everything`,
  },
  {
    states: ["ENOENT"],
    // "connect ENOENT ..." is about a socket.
    matches: /^ENOENT:/,
    error: PermanentError,
    code: "NO_FILE",
    text: (_, message) => `Cannot read a file of the connection: ${message}`,
    remedy: (variable) => `Correct sslrootcert, sslcert or sslkey in ${variable}`,
  },
  {
    states: ["ENOTFOUND", "EAI_AGAIN"],
    error: ServerAwayError,
    code: "UNKNOWN_HOST",
    text: (address, _, variable) => `Unknown host in ${variable}: ${address}`,
    remedy: "Correct the name",
  },
  {
    // ENOENT: a server that stops removes its Unix socket.
    states: ["ECONNREFUSED", "ENOENT"],
    error: ServerAwayError,
    code: "POSTGRES_AWAY",
    text: (address) => `Cannot reach Postgres at ${address}`,
    remedy: (variable) =>
      variable === DEFAULT_VARIABLE
        ? "Start it with: docker compose up -d postgres"
        : `Start it, or correct ${variable}`,
  },
];

/**
 * Turns an error of `pg` into one that says what failed and what to do. Permanent: only a person can fix it (a missing table
 * or column, no privilege, a wrong password). Away: the server cannot be reached, or closed the connection. Transient: the
 * rest.
 *
 * @param variable The one that holds the URL.
 */
export function explainPostgresError(
  error: unknown,
  databaseUrl: string,
  variable = DEFAULT_VARIABLE,
): Explained {
  if (error instanceof PermanentError || error instanceof TransientError) return error;
  const address = databaseAddress(databaseUrl);
  const message = messageOf(error);
  const state = codeOf(error) ?? "";
  const explanation = EXPLANATIONS.find(
    ({ states, matches }) => states.includes(state) && (matches === undefined || matches.test(message)),
  );
  if (!explanation) return explainByClass(error, address);
  const { error: ErrorClass, code, text, remedy } = explanation;
  const what = text(address, message, variable);
  const advice = typeof remedy === "string" ? remedy : remedy(variable);
  return new ErrorClass(code, `${what}. ${advice}`, { cause: error });
}

/** Explains an error that the table does not list. */
function explainByClass(error: unknown, address: string): Explained {
  const message = messageOf(error);
  if (isQueryFault(error)) {
    return new PermanentError(
      "SOURCE_DATA",
      `Postgres at ${address} cannot run the query: ${message}. Check the column types of the source tables`,
      { cause: error },
    );
  }
  const text = `Postgres at ${address}: ${message}`;
  return isServerAway(error)
    ? new ServerAwayError("POSTGRES_AWAY", text, { cause: error })
    : new TransientError("POSTGRES", text, { cause: error });
}

/**
 * Errors of the connection: those of the socket; in SQLSTATE class 08 (connection), 57P (shutting down, starting up), 53 (out
 * of connections, disk or memory) and 25006 (a standby); and those for which `pg` has only a message.
 */
function isServerAway(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(08|57P|53|25006)/.test(error.code ?? "");
  return (
    /^E(CONN|PIPE|TIMEDOUT|HOST|NET)/.test(codeOf(error) ?? "") ||
    /^Connection terminated|^timeout e|^Query read timeout|^Client has encountered/.test(messageOf(error))
  );
}

/** SQLSTATE classes 22 (data), 42 (syntax, types) and 54 (program limits): the same query would fail the same way again. */
function isQueryFault(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(22|42|54)/.test(error.code ?? "");
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}
