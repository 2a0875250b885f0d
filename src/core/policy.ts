import { z } from "zod";
import type { CheckDefinition, Guard, Needs } from "./check.ts";
import { type Condition, listCriteria, parseCondition, partOf, type PlacedCriterion } from "./condition.ts";
import { CRITERIA } from "./criteria/registry.ts";
import { formatDuration, toMs } from "./duration.ts";
import { describeUnknown, type Fault, isRecord, parseFields } from "./fields.ts";
import { GUARDS } from "./guards/registry.ts";
import { onOff, type Setting, type ValuesOf, wholeNumber } from "./setting.ts";

/** When a model is retrained, and what may object. */
export interface Policy {
  readonly when: Condition;
  /** The settings of each guard that is on, by its key; "off" for one that is on by default. */
  readonly guards: Readonly<Record<string, Record<string, unknown> | "off">>;
}

/** Every criterion and guard. */
export const CHECKS: readonly CheckDefinition[] = [...CRITERIA, ...GUARDS];

/** The settings of the guide's policy. The environment alone is enough for it; everything else is in the YAML file. */
export const POLICY_SETTINGS = {
  minBufferSize: {
    variable: "MIN_BUFFER_SIZE",
    schema: wholeNumber(0, 1e12),
    default: "50000",
    meaning: "Minimum number of ratings in the buffer (`bufferSize`).",
  },
  lookbackHours: {
    variable: "DRIFT_LOOKBACK_HOURS",
    schema: wholeNumber(1, 87_600),
    default: "168",
    meaning: "Drift checks older than this do not count, by the database's clock (`within`).",
  },
  minAlertsTriggered: {
    variable: "MIN_ALERTS_TRIGGERED",
    schema: wholeNumber(1, 1_000),
    default: "1",
    meaning: "Minimum number of triggered alerts (`driftAlerts`).",
  },
  retriggerGuard: {
    variable: "RETRIGGER_GUARD",
    schema: onOff,
    default: "on",
    meaning:
      "`off`: a recent alert may start one training after another, without a pause after a failed one (`alreadyActedOn`, `retryBackoff`).",
  },
  inFlightGuard: {
    variable: "TRAINING_IN_FLIGHT_GUARD",
    schema: onOff,
    default: "on",
    meaning: "`off`: a training may start while another one of the model is under way (`trainingInFlight`).",
  },
  backoffSeconds: {
    variable: "TRAINING_BACKOFF_SECONDS",
    schema: wholeNumber(1, 7 * 86_400),
    default: "3600",
    meaning:
      "How long a failed training holds its alerts back; doubled with each failure, at most a week (`retryBackoff`).",
  },
} as const satisfies Record<string, Setting>;

export type PolicySettings = ValuesOf<typeof POLICY_SETTINGS>;

/** The variable that sets each check of the guide's policy, by the check's key. */
export const VARIABLE_OF: Readonly<Record<string, string>> = {
  recentDriftChecks: POLICY_SETTINGS.lookbackHours.variable,
  driftAlerts: POLICY_SETTINGS.minAlertsTriggered.variable,
  bufferSize: POLICY_SETTINGS.minBufferSize.variable,
  alreadyActedOn: POLICY_SETTINGS.retriggerGuard.variable,
  trainingInFlight: POLICY_SETTINGS.inFlightGuard.variable,
  retryBackoff: POLICY_SETTINGS.backoffSeconds.variable,
};

/** The guide's policy with the given thresholds. */
export function policyOf(settings: PolicySettings): Policy {
  const { minBufferSize, lookbackHours, minAlertsTriggered, backoffSeconds } = settings;
  const within = formatDuration(lookbackHours * 3_600_000);
  return {
    when: {
      all: [
        { recentDriftChecks: { within } },
        { driftAlerts: { atLeast: minAlertsTriggered, within } },
        { bufferSize: { atLeast: minBufferSize } },
      ],
    },
    guards: {
      alreadyActedOn: settings.retriggerGuard ? {} : "off",
      // An alert that may start trainings again and again is not held back after a failure either.
      retryBackoff: settings.retriggerGuard ? { base: formatDuration(backoffSeconds * 1000) } : "off",
      trainingInFlight: settings.inFlightGuard ? {} : "off",
      snooze: {},
    },
  };
}

/** The settings of the guide's policy, as values. */
export const GUIDE_SETTINGS = Object.fromEntries(
  Object.entries(POLICY_SETTINGS).map(([key, { schema, default: text }]) => [key, schema.parse(text)]),
) as PolicySettings;

/** The policy that is in force without any setting. */
export const GUIDE_POLICY: Policy = policyOf(GUIDE_SETTINGS);

/** Parses what a user writes under `policy`. What it leaves out is taken from `base`. Adds to `faults` what is wrong. */
export function parsePolicy(value: unknown, base: Policy, path: Fault["path"], faults: Fault[]): Policy {
  if (value === undefined || value === null) return base;
  if (!isRecord(value)) {
    faults.push({ path, message: "expected when and guards", value });
    return base;
  }
  for (const key of Object.keys(value))
    if (key !== "when" && key !== "guards")
      faults.push({
        path: [...path, key],
        message: describeUnknown("part of a policy", key, ["when", "guards"]),
      });
  const when =
    value["when"] === undefined ? base.when : parseCondition(value["when"], [...path, "when"], faults);
  const guards = parseGuards(value["guards"], base, [...path, "guards"], faults);
  if (faults.length === 0) faults.push(...findContradictions({ when, guards }, path));
  return { when, guards };
}

function parseGuards(value: unknown, base: Policy, path: Fault["path"], faults: Fault[]): Policy["guards"] {
  if (value === undefined || value === null) return base.guards;
  if (!isRecord(value)) {
    faults.push({ path, message: "expected guards such as cooldown: 7d", value });
    return base.guards;
  }
  const guards = { ...base.guards };
  for (const [key, own] of Object.entries(value)) {
    const guard = GUARDS.find((known) => known.key === key);
    if (guard === undefined)
      faults.push({
        path: [...path, key],
        message: describeUnknown(
          "a guard",
          key,
          GUARDS.map((known) => known.key),
        ),
      });
    else {
      const settings = parseGuard(guard, own, [...path, key], faults);
      if (settings === "off" && guard.default === null) delete guards[key];
      else guards[key] = settings;
    }
  }
  // RETRIGGER_GUARD=off switches both off; the first one brings the second back, unless the file says otherwise.
  const isOnAgain = base.guards["alreadyActedOn"] === "off" && guards["alreadyActedOn"] !== "off";
  // Written out, because the recorded policy must have the same hash.
  const backoff = GUARDS.find(({ key }) => key === "retryBackoff");
  if (backoff && isOnAgain && value["retryBackoff"] === undefined && guards["retryBackoff"] === "off")
    guards["retryBackoff"] = parseGuard(backoff, true, path, faults);
  return guards;
}

function parseGuard(
  guard: Guard,
  value: unknown,
  path: Fault["path"],
  faults: Fault[],
): Record<string, unknown> | "off" {
  if (value === "off" || value === false) return "off";
  const isOn = value === "on" || value === true || value === null;
  if (
    !isOn &&
    Object.keys(guard.fields).length === 0 &&
    !(isRecord(value) && Object.keys(value).length === 0)
  ) {
    faults.push({ path, message: "expected on or off", value });
    return "off";
  }
  return parseFields(guard, isOn ? undefined : value, path, faults);
}

/** Parts that contradict each other. */
function findContradictions(policy: Policy, path: Fault["path"]): Fault[] {
  const criteria = listCriteria(policy.when);
  const faults: Fault[] = [];
  const at = [...path, "when"];
  const isNoReason = (leaf: Leaf): boolean => leaf.criterion.carries === null || alwaysHolds(leaf);
  if (canHold(policy.when, alwaysHolds))
    faults.push({
      path: at,
      message: "it always holds, because bufferSize: 0 does: expected at least 1 row",
    });
  else if (canHold(policy.when, isNoReason)) {
    const keys = criteria.flatMap((leaf) => (isNoReason(leaf) ? [leaf.criterion.key] : []));
    faults.push({
      path: at,
      message: `expected a criterion that is a reason to retrain, such as driftAlerts or maxAge: ${[...new Set(keys)].join(" and ")} alone would retrain all the time`,
    });
  }
  if (criteria.filter(({ criterion }) => criterion.key === "sampleFloor").length > 1)
    faults.push({ path: at, message: "sampleFloor applies to the whole policy, so it may be named once" });
  return faults;
}

type Leaf = Pick<PlacedCriterion, "criterion" | "settings">;

function alwaysHolds({ criterion, settings }: Leaf): boolean {
  return criterion.key === "bufferSize" && (settings as { atLeast: number }).atLeast === 0;
}

/** Whether a condition can hold by these criteria alone. */
function canHold(condition: Condition, includes: (leaf: Leaf) => boolean): boolean {
  const part = partOf(condition);
  if (part.kind === "criterion") return includes(part);
  const count = part.children.filter((child) => canHold(child, includes)).length;
  if (part.kind === "atLeast") return count >= part.count;
  return part.kind === "any" ? count > 0 : count === part.children.length;
}

/** The settings of a guard that is on; null if it is off. */
export function settingsOf(
  { guards }: Pick<Policy, "guards">,
  { key, default: standard }: Pick<Guard, "key" | "default">,
): Record<string, unknown> | null {
  const own = guards[key];
  if (own === "off") return null;
  return own ?? standard;
}

/** The criteria and guards of a policy that cannot do without a column of the checks, each with the columns. */
export function listColumnNeeds(
  policy: Policy,
): { key: string; place: string; columns: readonly string[] }[] {
  const criteria = listCriteria(policy.when).map(({ criterion }) => ({
    check: criterion,
    place: "policy.when",
  }));
  const guards = GUARDS.filter((guard) => settingsOf(policy, guard) !== null).map((guard) => ({
    check: guard,
    place: `policy.guards.${guard.key}`,
  }));
  return [...criteria, ...guards].map(({ check, place }: { check: CheckDefinition; place: string }) => ({
    key: check.key,
    place,
    columns: check.columns ?? [],
  }));
}

/** The smallest number of alerts that any of its criteria requires; 1 if none counts alerts. */
export function countRequiredAlerts({ when }: Policy): number {
  const counts = listCriteria(when).flatMap(({ criterion, settings }) =>
    criterion.key === "driftAlerts" ? [(settings as { atLeast: number }).atLeast] : [],
  );
  return counts.length === 0 ? 1 : Math.min(...counts);
}

/** Checks on fewer samples do not count; 0 for no limit. */
export function sampleFloorOf({ when }: Pick<Policy, "when">): number {
  const floor = listCriteria(when).find(({ criterion }) => criterion.key === "sampleFloor");
  return floor ? (floor.settings as { atLeast: number }).atLeast : 0;
}

/** How long the alerts of a failed training are held back; null if they are not. */
export function backoffOf(policy: Pick<Policy, "guards">): string | null {
  const { retryBackoff } = policy.guards;
  if (retryBackoff === "off") return null;
  return (retryBackoff?.["base"] as string | undefined) ?? "1h";
}

/** Whether an alert starts one training only. */
export function hasRetriggerGuard({ guards }: Pick<Policy, "guards">): boolean {
  return guards["alreadyActedOn"] !== "off";
}

/** What a policy needs from the sources: how far back, and what beyond the counts. */
export interface PolicyNeeds extends Omit<
  Required<Needs>,
  "within" | "reach" | "requestedWithin" | "requestedByAllWithin"
> {
  within: string;
  reach: string;
  requestedWithin: string | null;
  requestedByAllWithin: string | null;
}

/** Whether the last training's failure holds the model back, and not only its own alerts: something else may call for the next. */
function isHeldByLastFailure(policy: Policy): boolean {
  const needsNoAlert = canHold(policy.when, ({ criterion }) => !criterion.isDrift);
  return backoffOf(policy) !== null && (needsNoAlert || !hasRetriggerGuard(policy));
}

type BooleanNeed = "growth" | "waiting" | "lastTraining" | "lastSuccess" | "weighsScores" | "quietChecks";

export function needsOf(policy: Policy): PolicyNeeds {
  const criteria = listCriteria(policy.when);
  const all: Needs[] = [
    ...criteria.map(({ criterion, settings }: PlacedCriterion) => criterion.needs(settings)),
    ...GUARDS.map((guard) => {
      const settings = settingsOf(policy, guard);
      return settings === null ? {} : (guard.needs?.(settings) ?? {});
    }),
  ];
  const longest = (lengths: readonly (string | undefined)[]): string | null =>
    lengths.filter((length) => length !== undefined).toSorted((a, b) => toMs(b) - toMs(a))[0] ?? null;
  const windows = all.map(({ within }) => within).filter((within) => within !== undefined);
  const within = longest(windows) ?? "7d";
  const any = (key: BooleanNeed): boolean => all.some((needs) => needs[key] === true);
  return {
    within,
    reach: longest([within, ...all.map(({ reach }) => reach)]) ?? within,
    // The counts in the evidence are those of one window.
    quietChecks: any("quietChecks") || new Set(windows).size > 1,
    weighsScores: any("weighsScores"),
    growth: any("growth"),
    waiting: any("waiting"),
    lastTraining: any("lastTraining") || isHeldByLastFailure(policy),
    lastSuccess: any("lastSuccess"),
    requestedWithin: longest(all.map(({ requestedWithin }) => requestedWithin)),
    requestedByAllWithin: longest(all.map(({ requestedByAllWithin }) => requestedByAllWithin)),
  };
}

/** Whether a policy needs to know when rows arrived, which only the rows themselves say. */
export function needsArrivals(policy: Policy): boolean {
  const { growth, waiting } = needsOf(policy);
  return growth || waiting;
}

/**
 * Parses a policy as recorded, also as versions before this one did: the flat thresholds of the guide's policy. The same policy
 * is the same object: each job brings it anew, and what is known of it is kept by the object.
 */
export const Policy: z.ZodType<Policy> = z.unknown().transform((value, context) => {
  try {
    return readPolicy(value, context);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // Only a changed row holds one that is nested so deeply that no stack suffices.
    context.issues.push({ code: "custom", path: [], message: "cannot be read", input: value });
    return z.NEVER;
  }
});

function readPolicy(value: unknown, context: z.RefinementCtx): Policy {
  const text = JSON.stringify(value);
  const known = parsedPolicies.get(text);
  if (known) return known;
  const faults: Fault[] = [];
  const policy =
    isRecord(value) && !("when" in value)
      ? policyOf({ ...GUIDE_SETTINGS, ...value })
      : parsePolicy(value, GUIDE_POLICY, [], faults);
  for (const { path, message } of faults)
    context.issues.push({ code: "custom", path: [...path], message, input: value });
  if (parsedPolicies.size >= MAX_PARSED) parsedPolicies.clear();
  if (faults.length === 0) parsedPolicies.set(text, policy);
  return policy;
}

const parsedPolicies = new Map<string, Policy>();
const MAX_PARSED = 500;
