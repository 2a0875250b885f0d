import type { Config } from "../../config/config.ts";
import { type Finding, ok } from "../../core/finding.ts";
import { POLICY_SETTINGS } from "../../core/policy.ts";

/** Lists the settings in effect: the policy of each model, and the trainer. */
export function describeConfig({ models, trainer }: Pick<Config, "models" | "trainer">): Finding[] {
  return [
    ...[...models].map(([model, { policy, settingNames }]) => {
      const values = Object.keys(POLICY_SETTINGS).map(
        (key) => `${settingNames[key] ?? key} ${format(policy[key as keyof typeof policy])}`,
      );
      return ok(`${model}: policy ${values.join(", ")}`);
    }),
    ok(`The trainer is ${trainer.name}`),
  ];
}

function format(value: number | boolean): string {
  return typeof value === "number" ? String(value) : value ? "on" : "off";
}
