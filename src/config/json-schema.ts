import { ModelName } from "../../queues/jobs.ts";
import type { CheckDefinition } from "../core/check.ts";
import { CRITERIA } from "../core/criteria/registry.ts";
import type { Fields } from "../core/fields.ts";
import { GUARDS } from "../core/guards/registry.ts";
import type { Setting, Settings } from "../core/setting.ts";
import { toJsonSchema } from "../settings/schemas.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { FieldSet } from "./field-set.ts";
import {
  BUFFER_FIELDS,
  CHECKS_FIELDS,
  MODEL_FIELDS,
  OUTCOME_FIELDS,
  SHADOW_MEANING,
  SOURCE_MEANINGS,
} from "./file-fields.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

/** The YAML file as a JSON Schema (draft 2020-12), with which editors complete and check it while it is written. */
export function renderJsonSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Retrigger: the file of RETRIGGER_CONFIG",
    ...mapping({
      defaults: describe("What every model has unless its own section says otherwise.", SECTION),
      models: describe("The models by their names. Without them, the file is about the model default.", {
        type: "object",
        minProperties: 1,
        propertyNames: toJsonSchema(ModelName),
        additionalProperties: orNothing(SECTION),
      }),
    }),
    $defs: {
      section: renderSection(),
      policy: renderPolicy(),
      condition: renderCondition(),
      conditions: CONDITIONS,
    },
  };
}

const SECTION = { $ref: "#/$defs/section" };
const POLICY = { $ref: "#/$defs/policy" };
const CONDITION = { $ref: "#/$defs/condition" };
const CONDITION_LIST = { $ref: "#/$defs/conditions" };
const CONDITIONS = { type: "array", minItems: 1, items: CONDITION };

function renderSection(): JsonSchema {
  return mapping({
    ...renderFields(MODEL_FIELDS),
    source: mapping({
      checks: describe(SOURCE_MEANINGS.checks, { anyOf: [{ const: "reported" }, renderSet(CHECKS_FIELDS)] }),
      buffer: describe(SOURCE_MEANINGS.buffer, { anyOf: [{ const: "reported" }, renderSet(BUFFER_FIELDS)] }),
      database: describe(SOURCE_MEANINGS.database, VARIABLE),
    }),
    trainer: describe("How trainings are started.", {
      anyOf: [
        { enum: TRAINERS.map(({ name }) => name) },
        {
          ...mapping(
            Object.fromEntries(
              TRAINERS.map(({ name, meaning, settings }) => [
                name,
                describe(meaning, orNothing(mapping(renderSettings(settings)))),
              ]),
            ),
          ),
          minProperties: 1,
          maxProperties: 1,
        },
      ],
    }),
    outcomes: describe("Where outcomes are read from.", renderSet(OUTCOME_FIELDS)),
    policy: POLICY,
    shadow: describe(SHADOW_MEANING, { anyOf: [POLICY, { enum: ["off", false, null] }] }),
  });
}

function renderPolicy(): JsonSchema {
  return mapping({
    when: describe("When the model is retrained: a criterion, or several combined.", CONDITION),
    guards: mapping(
      Object.fromEntries(GUARDS.map((guard) => [guard.key, renderCheck(guard, ["off", false])])),
    ),
  });
}

function renderCondition(): JsonSchema {
  const count = { type: "integer", minimum: 1 };
  return {
    anyOf: [
      describe("A list: all of it must hold.", CONDITION_LIST),
      {
        ...mapping({
          all: describe("All of these must hold.", CONDITION_LIST),
          any: describe("One of these must hold.", CONDITION_LIST),
          ...Object.fromEntries(CRITERIA.map((criterion) => [criterion.key, renderCheck(criterion)])),
        }),
        minProperties: 1,
      },
      {
        ...mapping({
          atLeast: describe("How many of these must hold.", count),
          of: CONDITION_LIST,
        }),
        required: ["atLeast", "of"],
      },
    ],
  };
}

/**
 * A criterion or guard: its settings, the value that stands for one of them, or nothing if all have defaults.
 *
 * @param off What switches a guard off.
 */
function renderCheck({ fields, shorthand, docs }: CheckDefinition, off: unknown[] = []): JsonSchema {
  const required = Object.entries(fields)
    .filter(([, field]) => field.default === undefined && field.optional === undefined)
    .map(([name]) => name);
  const short = shorthand === undefined ? undefined : fields[shorthand];
  const on = required.length > 0 ? [] : [null, ...(off.length > 0 ? ["on", true] : [])];
  const words = [...on, ...off];
  return describe(docs.rule, {
    anyOf: [
      { ...mapping(renderFields(fields)), ...(required.length === 0 ? {} : { required }) },
      ...(short ? [toJsonSchema(short.schema)] : []),
      ...(words.length > 0 ? [{ enum: words }] : []),
    ],
  });
}

function renderSet({ fields, nested = {} }: FieldSet): JsonSchema {
  const inner = Object.entries(nested).map(([key, set]) => [key, describe(set.meaning, renderSet(set))]);
  return mapping({ ...renderFields(fields), ...Object.fromEntries(inner) });
}

function renderFields(fields: Fields): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, { schema, meaning, default: standard }]) => [
      name,
      {
        ...describe(meaning, toJsonSchema(schema)),
        ...(standard === undefined ? {} : { default: standard }),
      },
    ]),
  );
}

const VARIABLE: JsonSchema = { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]*$" };

function renderSettings(settings: Settings): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, setting]) => [
      key,
      describe(setting.meaning, renderSetting(setting)),
    ]),
  );
}

function renderSetting({ schema, secret }: Setting): JsonSchema {
  if (secret === "value") return describe("The name of a variable that holds it.", VARIABLE);
  const rendered = toJsonSchema(schema);
  // A number may stand for text, such as the id of an App.
  return rendered["type"] === "string" ? { ...rendered, type: ["string", "number", "boolean"] } : rendered;
}

function mapping(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: "object", properties, additionalProperties: false };
}

function orNothing(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: "null" }] };
}

function describe(description: string, schema: JsonSchema): JsonSchema {
  return description === "" ? schema : { description, ...schema };
}
