import type { Setting } from "../core/setting.ts";
import type { Fault } from "../core/fields.ts";
import { POLICY_SETTINGS, VARIABLE_OF } from "../core/policy.ts";
import { TRAINERS } from "../trainers/registry.ts";
import { GUARDS } from "../core/guards/registry.ts";
import type { Layer } from "./layer.ts";
import { SERVICE_SETTINGS } from "./service-settings.ts";
import { formatPath } from "./yaml-document.ts";

/** The place in the file that decides what a variable would have decided. */
const PLACES: ReadonlyMap<Setting, string> = new Map<Setting, string>([
  [SERVICE_SETTINGS.schedule, "schedule"],
  [SERVICE_SETTINGS.driftAlertsTable, "source.checks"],
  [SERVICE_SETTINGS.ratingsBufferTable, "source.buffer"],
  [SERVICE_SETTINGS.trainer, "trainer"],
  ...Object.values(POLICY_SETTINGS).map((setting): [Setting, string] => {
    const guard = GUARDS.find(({ key }) => VARIABLE_OF[key] === setting.variable);
    return [setting, guard ? `policy.guards.${guard.key}` : "policy.when"];
  }),
  ...TRAINERS.flatMap(({ settings }) => Object.values(settings)).map((setting): [Setting, string] => [
    setting,
    `trainer.${setting.variable}`,
  ]),
]);

/** A line for each variable that was set for this command, although the file decides otherwise. */
export function listOverridden(
  layers: ReadonlyMap<string, Layer>,
  {
    file,
    env,
    isForCommand,
  }: {
    file: string;
    env: Readonly<Record<string, string | undefined>>;
    isForCommand: (variable: string) => boolean;
  },
): string[] {
  // Trainers share settings, some as objects of their own.
  const unique = new Map(
    [...PLACES].map(([setting, place]) => [setting.variable, [setting, place] as const]),
  );
  return [...unique.values()].flatMap(([{ variable, secret }, place]) => {
    const value = env[variable];
    if (value === undefined || !isForCommand(variable)) return [];
    const overridden = [...layers].flatMap(([model, { places }]): [string, Fault["path"]][] => {
      const path = places[place];
      return path === undefined ? [] : [[model, path]];
    });
    if (overridden.length === 0) return [];
    const what = secret === undefined ? `${variable}=${value}` : variable;
    const whom =
      overridden.length === layers.size && layers.size > 1
        ? "any model"
        : listSome(overridden.map(([model]) => model));
    return [
      `${what} has no effect on ${whom}: ${listSome([...new Set(overridden.map(([, path]) => formatPath(path)))])} in ${file} decides`,
    ];
  });
}

/** "films, books and 3 more" */
function listSome(names: readonly string[]): string {
  if (names.length <= 3) return names.join(", ");
  return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
}
