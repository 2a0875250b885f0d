import { CRITERIA } from "../core/criteria/registry.ts";
import { describeUnknown } from "../core/fields.ts";
import { GUARDS } from "../core/guards/registry.ts";
import { TRAINERS } from "../trainers/registry.ts";
import { MODEL_FIELDS, SOURCE_MEANINGS } from "./file-fields.ts";

/** The keys of a model and of `defaults`. */
export const SECTION_KEYS = [
  ...Object.keys(MODEL_FIELDS),
  "source",
  "trainer",
  "outcomes",
  "policy",
  "shadow",
] as const;

const HOMES: ReadonlyMap<string, string> = new Map([
  ...["all", "any", "atLeast", ...CRITERIA.map(({ key }) => key)].map((key) => [key, "policy.when"] as const),
  ...GUARDS.map(({ key }) => [key, "policy.guards"] as const),
  ...["when", "guards"].map((key) => [key, "policy"] as const),
  ...Object.keys(SOURCE_MEANINGS).map((key) => [key, "source"] as const),
  ...TRAINERS.map(({ name }) => [name, "trainer"] as const),
]);

/** Says where a key that stands directly under a model belongs, or what it might be. */
export function describeUnknownKey(key: string): string {
  const home = HOMES.get(key);
  return home === undefined
    ? describeUnknown("a setting of a model", key, SECTION_KEYS)
    : `belongs under ${home}`;
}

/** The same for a key at the top of the file. */
export function describeUnknownTop(key: string): string {
  return SECTION_KEYS.includes(key)
    ? "belongs under defaults, or under a model in models"
    : describeUnknown("a part of the file", key, ["defaults", "models"]);
}
