import { createPrivateKey } from "node:crypto";
import { type CronExpression, CronExpressionParser } from "cron-parser";
import { z } from "zod";
import { parseJson } from "../core/parse.ts";

export function serverUrl(schemes: readonly string[]) {
  const forms = schemes.map((scheme) => `${scheme}://`).join(" or ");
  return z
    .string()
    .refine(
      (text) => isServerUrl(text, schemes),
      `must be a URL that starts with ${forms}, with % in its password written as %25`,
    );
}

/** A Postgres URL. Several hosts, as libpq takes them, are moved to its parameters: `URL` cannot parse a list with ports. */
export const postgresUrl = z
  .string()
  .transform((text) => {
    const [, start = "", hosts = "", rest = ""] = MANY_HOSTS.exec(text) ?? [];
    if (hosts === "") return text;
    const list = hosts.split(",").map((each) => /^(.*?)(?::(\d+))?$/.exec(each) ?? []);
    const [path = "", query = ""] = rest.split("?");
    const parameters = new URLSearchParams(query);
    parameters.set("host", list.map(([, host = ""]) => host.replace(/^\[(.*)\]$/, "$1")).join(","));
    parameters.set("port", list.map(([, , port = "5432"]) => port).join(","));
    return `${start}${hosts.split(",")[0]}${path}?${parameters}`;
  })
  .pipe(serverUrl(["postgres", "postgresql"]))
  .refine(
    (text) => !/[?&]target_session_attrs=(?!any(&|$)|read-write(&|$)|primary(&|$))/.test(text),
    "must have any, read-write or primary as target_session_attrs",
  );

const MANY_HOSTS = /^(\w+:\/\/(?:[^/?@]*@)?)([^/?@]+,[^/?@]+)(.*)$/;

/** A URL that is shown to people, so it must not contain a login. */
export const urlWithoutLogin = serverUrl(["http", "https"])
  .refine((text) => !/^\w+:\/\/[^/]*@/.test(text), "must not contain a user name or password")
  .transform((url) => url.replace(/\/+$/, ""));

/** A host name or address to listen on. */
export const hostName = z.string().regex(/^\S+$/, "must be a host name or address");

/** A name as Postgres has it: any characters, but cut after 63 bytes. */
const isName = (text: string): boolean =>
  text !== "" && text.trim() === text && !/[\p{Cc}\p{Cs}]/u.test(text) && Buffer.byteLength(text) <= 63;

const TABLE = "must be a table name, or schema.table";
export const tableName = z
  .string({ error: TABLE })
  .refine((text) => text.split(".").length <= 2 && text.split(".").every(isName), TABLE);

const SCHEMA = "must be a schema's name of lower-case letters, digits and underscores, without pg_ before it";
export const schemaName = z.string().regex(/^(?!pg_)[a-z_][a-z0-9_]{0,62}$/, SCHEMA);

const COLUMN = "must be the name of a column";
/** The name of a column; null if there is none. */
export const columnName = z.string({ error: COLUMN }).refine(isName, COLUMN).nullable();

const CRON = 'must be a cron pattern in UTC such as "0 6 * * *", or off';
export const cronOrOff = z
  .string({ error: CRON })
  .refine((text) => text === "off" || isCronPattern(text), { message: CRON, abort: true })
  .refine((text) => text === "off" || everFires(text), {
    message: "must fire at least once: none of its months has that day. Correct it, or set it to off",
  });

export const timeZone = z
  .string()
  .refine(isTimeZone, "must be an IANA time zone such as UTC or Europe/Paris, not an offset or abbreviation");

/** What a schema says that has no message of its own, in place of Zod's words. */
export function inPlainWords(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${PLAIN_TYPES[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${listChoices(issue.values.map(String))}`;
    case "too_small":
      return `must have at least ${countOf(issue.minimum, issue.origin)}`;
    case "too_big":
      return `must have at most ${countOf(issue.maximum, issue.origin)}`;
    case "invalid_key":
      return issue.issues[0]?.message ?? "must be another name";
    case "unrecognized_keys":
      return `there is no ${issue.keys.join(", ")}`;
    default:
      return "must have another form";
  }
}

function countOf(figure: number | bigint, origin: string): string {
  if (origin === "string") return `${figure} character${figure === 1 ? "" : "s"}`;
  return figure === 1 ? "one entry" : `${figure} entries`;
}

const PLAIN_TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};

/** "mock, github or webhook" */
export function listChoices(names: readonly string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}` : (names[0] ?? "");
}

/** A structured value: JSON in the environment, YAML in the file. */
export function json<S extends z.ZodType>(schema: S, form: string) {
  return z
    .unknown()
    .transform((value, context): z.infer<S> => {
      const parsed = schema.safeParse(typeof value === "string" ? parseJson(value) : value, {
        error: inPlainWords,
      });
      if (parsed.success) return parsed.data;
      // In the file, the issue names the faulty key.
      if (typeof value === "string")
        context.issues.push({ code: "custom", message: `must be ${form}`, input: value });
      else
        for (const { path, message } of parsed.error.issues)
          context.issues.push({ code: "custom", path, message, input: value });
      return z.NEVER;
    })
    .meta(toJsonSchema(schema));
}

/** What a user may write, as a JSON Schema. */
export function toJsonSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

export const secret = z.string().min(8, "must have at least 8 characters");
export const privateKey = z
  .string()
  // An environment file holds it on one line, with \n for line breaks.
  .transform((text) => text.replaceAll("\\n", "\n"))
  .refine(isPrivateKey, "must be the App's private key in PEM format, with line breaks written as \\n");

export const namePart = z
  .string()
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9_.-]+$/, "must consist of letters, digits, dots, dashes and underscores");

function isPrivateKey(text: string): boolean {
  try {
    createPrivateKey(text);
    return true;
  } catch {
    return false;
  }
}

function isServerUrl(text: string, schemes: readonly string[]): boolean {
  try {
    const { protocol, username, password } = new URL(text);
    decodeURIComponent(username + password);
    // Without both slashes, the login would be read as part of the path, and shown.
    return schemes.includes(protocol.slice(0, -1)) && /^\w+:\/\/[^/]/.test(text);
  } catch {
    return false;
  }
}

/** What is known about parts of patterns: thousands of models may have a schedule, and the parser is slow. */
const KNOWN_FIELDS = new Map<string, boolean>();
const KNOWN_DAYS = new Map<string, boolean>();

function recall(known: Map<string, boolean>, key: string, compute: (key: string) => boolean): boolean {
  const result = known.get(key) ?? compute(key);
  known.set(key, result);
  return result;
}

/**
 * Whether each of the five or six fields is valid. The parser also accepts missing fields and hashed times (`H`). Each field is
 * parsed separately, because the parser rejects some days that do not exist in their month.
 */
function isCronPattern(text: string): boolean {
  if (!/^\S+(\s+\S+){4,5}$/.test(text) || /\bH\b/.test(text)) return false;
  const fields = text.split(/\s+/);
  const all = fields.map(() => "*");
  return fields.every((field, index) =>
    recall(KNOWN_FIELDS, all.with(index, field).join(" "), (pattern) => parseCron(pattern) !== null),
  );
}

function parseCron(pattern: string): CronExpression | null {
  try {
    return CronExpressionParser.parse(pattern, { tz: "UTC" });
  } catch {
    return null;
  }
}

/** Whether there is a day on which a valid pattern fires: its last three fields decide. */
function everFires(pattern: string): boolean {
  const days = pattern.split(/\s+/).slice(-3).join(" ");
  return /^\* \* [^#L]*$/i.test(days) || recall(KNOWN_DAYS, `0 0 ${days}`, hasNextFiring);
}

/** Computed like in BullMQ. */
function hasNextFiring(pattern: string): boolean {
  try {
    return parseCron(pattern)?.next() !== undefined;
  } catch {
    return false;
  }
}

/** The three-letter IANA names that mean the same to Postgres. */
const THREE_LETTER_ZONES = ["UTC", "UCT", "GMT", "EST", "MST", "HST", "PRC", "ROC", "ROK"];

/**
 * Whether Intl and Postgres both know the zone and agree on it. Intl also accepts offsets (since Node 22), which Postgres
 * reads with the opposite sign, and abbreviations, which Postgres looks up in its own table, where CET has no summer time
 * and IST is Israel's.
 */
function isTimeZone(text: string): boolean {
  if (!/^[A-Z]/i.test(text) || /^SystemV\//i.test(text)) return false;
  if (/^[A-Z]{3}$/i.test(text) && !THREE_LETTER_ZONES.includes(text.toUpperCase())) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
