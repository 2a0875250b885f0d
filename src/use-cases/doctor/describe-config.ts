import { isDeepStrictEqual } from "node:util";
import type { Config } from "../../config/config.ts";
import { describeCondition } from "../../core/describe-condition.ts";
import { type Finding, ok } from "../../core/finding.ts";
import { GUIDE_POLICY } from "../../core/policy.ts";

/** Summarizes the settings: the policy of each model, as far as it is not the default, and the trainer. */
export function describeConfig({ models, trainer }: Pick<Config, "models" | "trainer">): Finding[] {
  return [
    ...[...models].map(([model, { policy }]) =>
      ok(
        `${model}: ${isDeepStrictEqual(policy, GUIDE_POLICY) ? "the default policy" : describeCondition(policy)}`,
      ),
    ),
    ok(`TRAINER is ${trainer.name}`),
  ];
}
