import { type Condition, partOf } from "./condition.ts";
import type { FieldOwner } from "./fields.ts";
import { GUARDS } from "./guards/registry.ts";
import { GUIDE_POLICY, type Policy, settingsOf } from "./policy.ts";

/** A policy on one line: "all of (recentDriftChecks 7d, any of (driftAlerts 1, maxAge 60d)); guards: cooldown 7d". */
export function describeCondition(policy: Policy): string {
  const guards = GUARDS.flatMap((guard) => {
    if (policy.guards[guard.key] === "off" && guard.default !== null) return [`${guard.key} off`];
    const settings = settingsOf(policy, guard);
    const standard = GUIDE_POLICY.guards[guard.key];
    return settings === null || isDeepEqual(settings, standard) ? [] : [describeCheck(guard, settings)];
  });
  return `${describe(policy.when)}${guards.length === 0 ? "" : `; guards: ${guards.join(", ")}`}`;
}

function describe(condition: Condition): string {
  const part = partOf(condition);
  if (part.kind === "criterion") return describeCheck(part.criterion, part.settings);
  const name = part.kind === "atLeast" ? `at least ${part.count} of` : `${part.kind} of`;
  return `${name} (${part.children.map(describe).join(", ")})`;
}

/** The value that the short form takes, then what differs from the defaults. */
function describeCheck(
  { key, fields, shorthand }: FieldOwner,
  settings: Readonly<Record<string, unknown>>,
): string {
  const parts = Object.entries(fields).flatMap(([name, { schema, default: standard }]) => {
    const value = settings[name];
    const isDefault = standard !== undefined && isDeepEqual(value, schema.parse(standard));
    if (value === undefined || (isDefault && name !== shorthand)) return [];
    const text = typeof value === "string" ? value : JSON.stringify(value).replaceAll(`"`, "");
    return [name === shorthand ? text : `${name} ${text}`];
  });
  return [key, ...parts].join(" ");
}

function isDeepEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
