import { listCriteria } from "../core/condition.ts";
import { type Fault, isRecord } from "../core/fields.ts";
import { parsePolicy, type PolicySettings } from "../core/policy.ts";
import { TRAINERS } from "../trainers/registry.ts";
import { parseGiven, parseWith } from "./field-set.ts";
import { MODEL_FIELDS, OUTCOME_FIELDS } from "./file-fields.ts";
import { describeFlatKey } from "./flat-keys.ts";
import type { Layer } from "./layer.ts";
import type { Variables } from "./named-variable.ts";
import { parseShadow } from "./shadow-section.ts";
import { parseSource } from "./source-section.ts";
import { parseTrainer } from "./trainer-section.ts";
import { describeUnknownKey, SECTION_KEYS } from "./unknown-key.ts";

export interface SectionContext {
  faults: Fault[];
  variables: Variables;
  /** A value as it is written. */
  textOf(path: Fault["path"]): string | undefined;
  /** The file's name. */
  file: string;
  /** Of the environment. */
  thresholds: PolicySettings;
  trainer: string;
}

type Path = Fault["path"];
type Section = Readonly<Record<string, unknown>>;

/** Parses a model or `defaults`. What it leaves out is taken from `base`. Adds to `faults` what is wrong. */
export function parseSection(value: unknown, base: Layer, path: Path, context: SectionContext): Layer {
  // A model without settings of its own.
  if (value === undefined || value === null) return base;
  const { faults } = context;
  if (!isRecord(value)) {
    faults.push({ path, message: `expected a mapping with ${SECTION_KEYS.join(", ")}`, value });
    return base;
  }
  for (const key of Object.keys(value)) {
    if (SECTION_KEYS.includes(key)) continue;
    const message = describeFlatKey(key, { ...context, section: value }) ?? describeUnknownKey(key);
    faults.push({ path: [...path, key], message });
  }
  const { policy, settingNames } = parsePolicyOf(value["policy"], base, path, context);
  return {
    ...parseValues(value, base, path, faults),
    ...parseSource(value["source"], base, [...path, "source"], context),
    trainer: parseTrainer(value["trainer"], base.trainer, [...path, "trainer"], context),
    outcomes: {
      ...base.outcomes,
      ...(parseGiven(OUTCOME_FIELDS, value["outcomes"], [...path, "outcomes"], faults) as Partial<
        Layer["outcomes"]
      >),
    },
    policy,
    shadow: parseShadow(value["shadow"], base.shadow, policy, [...path, "shadow"], faults),
    settingNames,
    places: { ...base.places, ...listPlaces(value, path) },
  };
}

type Values = Pick<Layer, keyof typeof MODEL_FIELDS>;

function parseValues(section: Section, base: Layer, path: Path, faults: Fault[]): Values {
  const parse = <K extends keyof Values>(key: K): Values[K] =>
    section[key] === undefined
      ? base[key]
      : ((parseWith(MODEL_FIELDS[key].schema, section[key], [...path, key], faults) ??
          base[key]) as Values[K]);
  return {
    schedule: parse("schedule"),
    spread: parse("spread"),
    expectDriftRunEvery: parse("expectDriftRunEvery"),
  };
}

function parsePolicyOf(
  value: unknown,
  base: Layer,
  path: Path,
  { faults, file }: SectionContext,
): Pick<Layer, "policy" | "settingNames"> {
  const inherited = { policy: base.policy, settingNames: base.settingNames };
  if (value === undefined || value === null) return inherited;
  // Contradictions are looked for only in a policy that is right otherwise.
  const own: Fault[] = [];
  const policy = parsePolicy(value, base.policy, [...path, "policy"], own);
  faults.push(...own);
  if (own.length > 0 || !isRecord(value)) return inherited;
  const criteria =
    value["when"] === undefined ? [] : listCriteria(policy.when).map(({ criterion }) => criterion.key);
  const guards = isRecord(value["guards"]) ? Object.keys(value["guards"]) : [];
  const names = [...criteria, ...guards].map((key) => [key, `${key} of ${path.at(-1)} in ${file}`]);
  return { policy, settingNames: { ...base.settingNames, ...Object.fromEntries(names) } };
}

/** Where a section decides what a variable would have decided; `PLACES` names the variables. */
function listPlaces(section: Section, path: Path): Layer["places"] {
  const { source, trainer, policy } = section;
  const places: Record<string, Path> = {};
  if (section["schedule"] !== undefined) places["schedule"] = [...path, "schedule"];
  for (const part of ["checks", "buffer"] as const) {
    const own = isRecord(source) ? source[part] : undefined;
    if (own === "reported" || (isRecord(own) && ("table" in own || "reported" in own)))
      places[`source.${part}`] = [...path, "source", part];
    if (isRecord(own) && "columns" in own) places[`columns.${part}`] = [...path, "source", part, "columns"];
  }
  if (trainer !== undefined && trainer !== null) places["trainer"] = [...path, "trainer"];
  if (isRecord(trainer))
    for (const [name, own] of Object.entries(trainer))
      Object.assign(places, listTrainerPlaces(name, own, path));
  if (!isRecord(policy)) return places;
  if (policy["when"] !== undefined) places["policy.when"] = [...path, "policy", "when"];
  if (isRecord(policy["guards"]))
    for (const key of Object.keys(policy["guards"]))
      places[`policy.guards.${key}`] = [...path, "policy", "guards", key];
  return places;
}

function listTrainerPlaces(name: string, own: unknown, path: Path): Layer["places"] {
  const settings = TRAINERS.find((trainer) => trainer.name === name)?.settings ?? {};
  const keys = isRecord(own) ? Object.keys(own).filter((key) => Object.hasOwn(settings, key)) : [];
  return Object.fromEntries(
    keys.map((key) => [`trainer.${settings[key]?.variable}`, [...path, "trainer", name, key]]),
  );
}
