import { isDeepStrictEqual } from "node:util";
import type { Config } from "../../config/config.ts";
import { describeCondition } from "../../core/describe-condition.ts";
import { about, type Finding, ok } from "../../core/finding.ts";
import { GUIDE_POLICY } from "../../core/policy.ts";

/** Summarizes the settings: the policy of each model, as far as it is not the default, and the trainers. */
export function describeConfig({ models }: Pick<Config, "models">): Finding[] {
  return [
    ...[...models].map(([model, { policy }]) =>
      about(
        model,
        ok(isDeepStrictEqual(policy, GUIDE_POLICY) ? "the default policy" : describeCondition(policy)),
      ),
    ),
    ...describeTrainers(models),
  ];
}

/** Which models each trainer trains. */
function describeTrainers(models: Config["models"]): Finding[] {
  const groups = new Map<string, string[]>();
  for (const [model, { trainer }] of models) {
    const group = groups.get(trainer.name);
    if (group) group.push(model);
    else groups.set(trainer.name, [model]);
  }
  if (groups.size === 1) return [...groups.keys()].map((name) => ok(`The trainer is ${name}`));
  return [...groups].map(([name, group]) => ok(`The trainer ${name} trains ${listNames(group)}`));
}

const MAX_NAMES = 10;

function listNames(names: readonly string[]): string {
  const rest = names.length - MAX_NAMES;
  return names.slice(0, MAX_NAMES).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
