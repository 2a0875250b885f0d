import { toMs } from "./duration.ts";
import { type Policy, policyOf, type PolicySettings } from "./policy.ts";

/**
 * A policy as it is recorded, hashed and handed from stage to stage. The guide's policy, whatever its thresholds, has the form
 * that versions before this one read, so that old and new workers can share its runs during an upgrade; any other policy is
 * recorded as it is. `Policy` parses both.
 */
export function toRecordedPolicy(policy: Policy): object {
  const known = recorded.get(policy);
  if (known !== undefined) return known;
  const form = findRecordedForm(policy);
  recorded.set(policy, form);
  return form;
}

/** Every stage of every run records the policy of its model. */
const recorded = new WeakMap<Policy, object>();

function findRecordedForm(policy: Policy): object {
  const settings = findSettings(policy);
  const isGuide =
    settings !== null && Number.isInteger(settings.lookbackHours) && isEqual(policyOf(settings), policy);
  return isGuide ? settings : policy;
}

/** The settings that a policy would have if it were the guide's; null if it cannot be. */
function findSettings({ when, guards }: Policy): PolicySettings | null {
  const [recent, alerts, buffer] = Array.isArray(when["all" as never])
    ? (when["all" as never] as object[])
    : [];
  const valueOf = (leaf: object | undefined, key: string, field: string): unknown =>
    (leaf as Record<string, Record<string, unknown> | undefined> | undefined)?.[key]?.[field];
  const within = valueOf(recent, "recentDriftChecks", "within");
  const minAlertsTriggered = valueOf(alerts, "driftAlerts", "atLeast");
  const minBufferSize = valueOf(buffer, "bufferSize", "atLeast");
  const { retryBackoff } = guards;
  const isGuarded = guards["alreadyActedOn"] !== "off";
  const base =
    typeof retryBackoff === "object" ? retryBackoff["base"] : isGuarded ? undefined : GUIDE_BACKOFF;
  if (
    typeof within !== "string" ||
    typeof minAlertsTriggered !== "number" ||
    typeof minBufferSize !== "number" ||
    typeof base !== "string"
  )
    return null;
  return {
    minBufferSize,
    lookbackHours: toMs(within) / 3_600_000,
    minAlertsTriggered,
    retriggerGuard: isGuarded,
    inFlightGuard: guards["trainingInFlight"] !== "off",
    backoffSeconds: toMs(base) / 1000,
  };
}

/** Without the re-trigger guard there is no pause, whatever its length. */
const GUIDE_BACKOFF = "1h";

/** Whether two policies are the same, whatever the order of their guards. */
function isEqual(a: Policy, b: Policy): boolean {
  const guardsOf = ({ guards }: Policy): string =>
    JSON.stringify(Object.entries(guards).toSorted(([a], [b]) => a.localeCompare(b)));
  return JSON.stringify(a.when) === JSON.stringify(b.when) && guardsOf(a) === guardsOf(b);
}
