import { formatDuration } from "../core/duration.ts";
import type { PolicySettings } from "../core/policy.ts";

/** What the values of the first keys of the file are shown with. */
interface FlatContext {
  section: Readonly<Record<string, unknown>>;
  /** The thresholds of the environment, which stood in for keys that were left out. */
  thresholds: PolicySettings;
  /** The trainer of the environment. */
  trainer: string;
}

const FLAT_KEYS: Readonly<Record<string, (value: unknown, context: FlatContext) => string>> = {
  minBufferSize: writeWhen,
  driftLookbackHours: writeWhen,
  minAlertsTriggered: writeWhen,
  retriggerGuard: (value) => `policy: { guards: { alreadyActedOn: ${writeSwitch(value)} } }`,
  trainingInFlightGuard: (value) => `policy: { guards: { trainingInFlight: ${writeSwitch(value)} } }`,
  driftAlertsTable: (value) => `source: { checks: { table: ${write(value)} } }`,
  ratingsBufferTable: (value) => `source: { buffer: { table: ${write(value)} } }`,
  githubWorkflow: (value, { trainer }) => `trainer: { ${ofGitHub(trainer)}: { workflow: ${write(value)} } }`,
  githubExtraInputs: (value, { trainer }) =>
    `trainer: { ${ofGitHub(trainer)}: { extraInputs: ${writeKeys(value)} } }`,
};

/** The new spelling of a key of the first version of the file, with the user's own values; null for any other key. */
export function describeFlatKey(key: string, context: FlatContext): string | null {
  const spell = Object.hasOwn(FLAT_KEYS, key) ? FLAT_KEYS[key] : undefined;
  return spell ? `now written as ${spell(context.section[key], context)}` : null;
}

/** A condition stands as a whole, so all three thresholds are part of it. */
function writeWhen(_: unknown, { section, thresholds }: FlatContext): string {
  const hours = Number(section["driftLookbackHours"] ?? thresholds.lookbackHours);
  const within = Number.isFinite(hours)
    ? formatDuration(hours * 3_600_000)
    : write(section["driftLookbackHours"]);
  const alerts = write(section["minAlertsTriggered"] ?? thresholds.minAlertsTriggered);
  const size = write(section["minBufferSize"] ?? thresholds.minBufferSize);
  return `policy: { when: { recentDriftChecks: ${within}, driftAlerts: { atLeast: ${alerts}, within: ${within} }, bufferSize: ${size} } }`;
}

/** The mock shows the request of the github trainer, with its settings. */
function ofGitHub(trainer: string): string {
  return trainer === "mock" ? "mock" : "github";
}

function writeSwitch(value: unknown): string {
  return value === false || value === "off" ? "off" : "on";
}

/** A mapping without its values, which may be secrets. */
function writeKeys(value: unknown): string {
  const keys = typeof value === "object" && value !== null ? Object.keys(value) : [];
  return `{ ${keys.map((key) => `${key}: ...`).join(", ")} }`.slice(0, 200);
}

/** A value as YAML on one line. */
function write(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const parts = Object.entries(value).map(([key, part]) => `${key}: ${JSON.stringify(part)}`);
  return `{ ${parts.join(", ")} }`.slice(0, 200);
}
