import { describeUnknown, type Fault, isRecord } from "../core/fields.ts";
import type { Setting, Settings, ValuesOf } from "../core/setting.ts";
import { inPlainWords, listChoices } from "../settings/schemas.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { ModelConfig } from "./model-config.ts";
import { parseWith } from "./field-set.ts";
import { readVariable, type Variables } from "./named-variable.ts";
import { readValues } from "./settings.ts";

/** A trainer, with the settings that the file gives it. */
export interface TrainerLayer {
  name: string;
  /** Parsed values by key. */
  own: Readonly<Record<string, unknown>>;
  /** The variable that holds each secret of `own`. */
  variables: Readonly<Record<string, string>>;
  /** Where the file names the trainer; null if the environment does. */
  place: Fault["path"] | null;
}

interface Context {
  faults: Fault[];
  variables: Variables;
  /** A value as it is written. */
  textOf(path: Fault["path"]): string | undefined;
}

const NAMES = TRAINERS.map(({ name }) => name);

/** Parses `trainer` of a model or of `defaults`. The settings of the same trainer are taken from `base`. */
export function parseTrainer(
  value: unknown,
  base: TrainerLayer,
  path: Fault["path"],
  context: Context,
): TrainerLayer {
  if (value === undefined || value === null) return base;
  const { faults } = context;
  const [name = "", ...others] = isRecord(value) ? Object.keys(value) : [];
  if (typeof value !== "string" && (!isRecord(value) || name === "")) {
    faults.push({
      path,
      message: `expected ${listChoices(NAMES)}, alone or with settings such as { github: { ref: main } }`,
    });
    return base;
  }
  if (others.length > 0) {
    faults.push({ path, message: `expected one trainer, not ${[name, ...others].join(" and ")}` });
    return base;
  }
  const wanted = typeof value === "string" ? value : name;
  const definition = TRAINERS.find((trainer) => trainer.name === wanted);
  if (!definition) {
    // What stands there may be a secret that slipped.
    const isPlain = /^[\w-]{1,20}$/.test(wanted);
    faults.push({
      path: isPlain && typeof value !== "string" ? [...path, wanted] : path,
      message: isPlain ? describeUnknown("a trainer", wanted, NAMES) : `expected ${listChoices(NAMES)}`,
    });
    return base;
  }
  const inherited = base.name === wanted ? base : { own: {}, variables: {} };
  const given =
    typeof value === "string" ? EMPTY : parseSettings(definition, value[wanted], [...path, wanted], context);
  return {
    name: wanted,
    own: { ...inherited.own, ...given.own },
    variables: { ...inherited.variables, ...given.variables },
    place: typeof value === "string" ? path : [...path, wanted],
  };
}

type Given = Pick<TrainerLayer, "own" | "variables">;
const EMPTY: Given = { own: {}, variables: {} };

function parseSettings(
  { name, settings }: { name: string; settings: Settings },
  value: unknown,
  path: Fault["path"],
  context: Context,
): Given {
  if (value === undefined || value === null) return EMPTY;
  const keys = Object.keys(settings);
  if (!isRecord(value)) {
    context.faults.push({ path, message: `expected a mapping with ${keys.join(", ")}` });
    return EMPTY;
  }
  const own: Record<string, unknown> = {};
  const variables: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    const at = [...path, key];
    const setting = Object.hasOwn(settings, key) ? settings[key] : undefined;
    if (!setting) {
      context.faults.push({ path: at, message: describeUnknown(`a setting of ${name}`, key, keys) });
      continue;
    }
    const parsed = isByVariable(setting, text)
      ? parseSecret(setting, text, at, context)
      : { value: parseSetting(setting, text, at, context), variable: null };
    own[key] = parsed.value;
    if (parsed.variable !== null) variables[key] = parsed.variable;
  }
  return { own, variables };
}

/** Whether the file must name the variable that holds the value: always for a secret, and for a URL with a login. */
function isByVariable({ secret }: Setting, value: unknown): boolean {
  if (secret === "login") return !(typeof value === "string" && /^\w+:\/\/[^/@]*(\/|$)/.test(value));
  return secret === "value";
}

function parseSecret(
  setting: Setting,
  value: unknown,
  path: Fault["path"],
  { faults, variables }: Context,
): { value: unknown; variable: string | null } {
  const found = readVariable(value, `FILMS_${setting.variable}`, path, faults, variables);
  if (found === null) return { value: undefined, variable: null };
  const parsed = setting.schema.safeParse(found.text, { error: inPlainWords });
  if (parsed.success) return { value: parsed.data, variable: found.variable };
  for (const { message } of parsed.error.issues)
    faults.push({ path, message: `the variable ${found.variable} ${message}` });
  return { value: undefined, variable: null };
}

/** A number or `true` may also stand for text, such as the id of an App. */
function parseSetting(
  { schema, secret }: Setting,
  value: unknown,
  path: Fault["path"],
  { faults, textOf }: Context,
): unknown {
  const isScalar = typeof value === "number" || typeof value === "boolean";
  const text = isScalar && !schema.safeParse(value).success ? textOf(path) : undefined;
  return parseWith(schema, text ?? value, path, faults, { isShown: secret === undefined });
}

/** Gives trainers the settings that the file leaves to the environment. @param values By variable. */
export function createTrainerReader(values: Readonly<Record<string, unknown>>) {
  const known = new Map<string, { settings: Settings; values: ValuesOf<Settings> }>();
  const findKnown = (name: string): { settings: Settings; values: ValuesOf<Settings> } => {
    const settings: Settings = TRAINERS.find((trainer) => trainer.name === name)?.settings ?? {};
    const found = known.get(name) ?? { settings, values: readValues(settings, values) };
    known.set(name, found);
    return found;
  };
  return ({ name, own, variables }: TrainerLayer): Pick<ModelConfig, "trainer" | "secretVariables"> => {
    const { settings, values: shared } = findKnown(name);
    const secrets = Object.entries(settings).flatMap(([key, { secret, variable }]): [string, string][] => {
      const isSecret = secret === "value" || secret === "login";
      const isInFile = Object.hasOwn(own, key) && !Object.hasOwn(variables, key);
      return isSecret && !isInFile && (own[key] ?? shared[key]) !== undefined
        ? [[key, variables[key] ?? variable]]
        : [];
    });
    return {
      trainer: { name, settings: { ...shared, ...own } },
      secretVariables: Object.fromEntries(secrets),
    };
  };
}
