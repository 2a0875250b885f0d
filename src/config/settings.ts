import { z } from "zod";
import { ModelName } from "../../queues/jobs.ts";
import { POLICY_SETTINGS } from "../core/policy.ts";
import type { Setting, Settings, ValuesOf } from "../core/setting.ts";
import { TRAINERS } from "../trainers/registry.ts";
import { SERVICE_SETTINGS } from "./service-settings.ts";

/** Every setting, one per variable. */
export const ALL_SETTINGS: readonly Setting[] = [
  ...new Map(
    [SERVICE_SETTINGS, POLICY_SETTINGS, ...TRAINERS.map(({ settings }) => settings)]
      .flatMap((settings: Settings) => Object.values(settings))
      .map((setting) => [setting.variable, setting]),
  ).values(),
];

/** Every variable that Retrigger reads. */
export const SETTING_NAMES: readonly string[] = ALL_SETTINGS.map(({ variable }) => variable);

/** The YAML file: for each model, the settings that differ from the environment. */
export const ConfigFile = z.strictObject({
  models: z
    .record(
      ModelName,
      z.preprocess(
        (value) => value ?? {},
        z.strictObject(
          Object.fromEntries(
            ALL_SETTINGS.flatMap(({ modelKey, schema }) =>
              modelKey === undefined ? [] : [[modelKey, schema.optional()]],
            ),
          ),
        ),
      ),
    )
    .refine((models) => Object.keys(models).length > 0, "must name at least one model"),
});
export type ConfigFile = z.infer<typeof ConfigFile>;

/** A model's section of the YAML file: parsed values by their keys. */
export type ModelValues = Readonly<Record<string, unknown>>;

/** Reads the values of settings: the model's own, else the environment's, else the default. */
export function readValues<S extends Settings>(
  settings: S,
  environment: Readonly<Record<string, unknown>>,
  model: ModelValues = {},
): ValuesOf<S> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, { variable, modelKey = "", schema, default: text }]) => [
      key,
      model[modelKey] ?? environment[variable] ?? (text === undefined ? undefined : schema.parse(text)),
    ]),
  ) as ValuesOf<S>;
}
