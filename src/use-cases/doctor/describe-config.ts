import type { Config } from "../../config/config.ts";
import { type Finding, ok } from "../../core/finding.ts";
import { type Policy, POLICY_SETTINGS } from "../../core/policy.ts";

/** Summarizes the settings: the policy of each model, as far as it is not the default, and the trainer. */
export function describeConfig({ models, trainer }: Pick<Config, "models" | "trainer">): Finding[] {
  return [
    ...[...models].map(([model, { policy }]) => {
      const changes = listChanges(policy);
      return ok(
        `${model}: ${changes.length === 0 ? "the default policy" : `the default policy, but ${changes.join(", ")}`}`,
      );
    }),
    ok(`TRAINER is ${trainer.name}`),
  ];
}

/** The settings that differ from their defaults, such as "MIN_BUFFER_SIZE 30000". */
function listChanges(policy: Policy): string[] {
  const values: Readonly<Record<string, unknown>> = policy;
  return Object.entries(POLICY_SETTINGS).flatMap(([key, { schema, default: text, variable }]) => {
    const value = values[key];
    if (value === schema.parse(text)) return [];
    return [`${variable} ${typeof value === "boolean" ? (value ? "on" : "off") : String(value)}`];
  });
}
