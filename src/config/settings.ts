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

/** Reads the values of settings: the environment's, else the default. */
export function readValues<S extends Settings>(
  settings: S,
  environment: Readonly<Record<string, unknown>>,
): ValuesOf<S> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, { variable, schema, default: text }]) => [
      key,
      environment[variable] ?? (text === undefined ? undefined : schema.parse(text)),
    ]),
  ) as ValuesOf<S>;
}
