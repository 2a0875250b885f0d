import { type Condition, partOf } from "./condition.ts";
import type { FieldOwner } from "./fields.ts";
import { GUARDS } from "./guards/registry.ts";
import { type Policy, settingsOf } from "./policy.ts";

/** A policy on one line: "all of (recentDriftChecks 7d, any of (driftAlerts 1, maxAge 60d)); guards: cooldown 7d". */
export function describeCondition(policy: Policy): string {
  const guards = GUARDS.flatMap((guard) => {
    if (policy.guards[guard.key] === "off" && guard.default !== null) return [`${guard.key} off`];
    const settings = settingsOf(policy, guard);
    return settings === null || Object.keys(settings).length === 0 ? [] : [describeCheck(guard, settings)];
  });
  return `${describe(policy.when)}${guards.length === 0 ? "" : `; guards: ${guards.join(", ")}`}`;
}

function describe(condition: Condition): string {
  const part = partOf(condition);
  if (part.kind === "criterion") return describeCheck(part.criterion, part.settings);
  const name = part.kind === "atLeast" ? `at least ${part.count} of` : `${part.kind} of`;
  return `${name} (${part.children.map(describe).join(", ")})`;
}

function describeCheck({ key, fields }: FieldOwner, settings: Readonly<Record<string, unknown>>): string {
  const parts = Object.keys(fields).flatMap((name) => {
    const value = settings[name];
    if (value === undefined) return [];
    const text = typeof value === "object" ? JSON.stringify(value).replaceAll('"', "") : String(value);
    return [`${name} ${text}`];
  });
  return `${key} ${parts.join(" ")}`.trim();
}
