import { z } from "zod";
import { duration } from "../core/duration.ts";
import type { Fields } from "../core/fields.ts";
import { columnName, cronOrOff, tableName } from "../settings/schemas.ts";
import { BUFFER_COLUMNS, CHECKS_COLUMNS } from "../settings/sources.ts";
import type { FieldSet } from "./field-set.ts";

/** The keys of a model, and of `defaults`, that are single values; `source`, `trainer` and `policy` have their own. */
export const MODEL_FIELDS = {
  schedule: {
    schema: cronOrOff,
    default: "0 6 * * *",
    meaning: "When to decide without an event: a cron pattern in UTC, or `off`.",
  },
  spread: {
    schema: duration("0s", "1d"),
    default: "0s",
    meaning: "Fires up to this much later, by a share that is always the same for a model. At most a day.",
  },
  expectDriftRunEvery: {
    schema: z.union([z.literal("off"), duration("1m")], {
      error: "expected a duration such as 8d, from 1m to 3650d, or off",
    }),
    default: "off",
    meaning: "A notification is sent if neither a check nor an event came in this time.",
  },
} as const satisfies Fields;

const scalar = z.union([z.string(), z.number(), z.boolean()], {
  error: "expected text, a number, true or false",
});

const where = {
  schema: z.record(z.string(), scalar, {
    error: "expected columns and their values, such as { model: films }",
  }),
  meaning: "Only rows in which each of these columns has this value.",
};

const table = {
  schema: tableName,
  meaning: "Table or view, with or without a schema.",
};

function columnsOf(what: string, names: Readonly<Record<string, string>>): FieldSet & { meaning: string } {
  return {
    what: `a column of ${what}`,
    meaning: "The column of each figure, if it is not named as in the guide; `null` if there is none.",
    fields: Object.fromEntries(
      Object.entries(names).map(([key, name]) => [key, { schema: columnName, default: name, meaning: "" }]),
    ),
  };
}

export const CHECKS_FIELDS = {
  what: "a setting of source.checks",
  fields: { table, where },
  nested: { columns: columnsOf("source.checks", CHECKS_COLUMNS) },
} as const satisfies FieldSet;

export const BUFFER_FIELDS = {
  what: "a setting of source.buffer",
  fields: {
    table,
    reported: {
      schema: z.literal(true, { error: "expected true" }),
      meaning: "Growth is reported to Retrigger; there is no table.",
    },
    unit: {
      schema: z
        .string({ error: "expected a noun such as ratings" })
        .regex(
          /^[^\s\p{Cc}](?:[^\p{Cc}]{0,38}[^\s\p{Cc}])?$/u,
          "expected a noun such as ratings, of at most 40 characters",
        ),
      meaning: "What is counted, in the plural. `ratings` on the guide's table, else `rows`.",
    },
    where,
    since: {
      schema: z
        .literal("lastTraining", { error: "expected lastTraining, or null to count everything" })
        .nullable(),
      meaning: "`lastTraining`: count only what arrived since the last successful training.",
    },
  },
  nested: { columns: columnsOf("source.buffer", BUFFER_COLUMNS) },
} as const satisfies FieldSet;

/** The keys of `outcomes`. */
export const OUTCOME_FIELDS = {
  what: "a setting of outcomes",
  fields: {
    view: {
      schema: tableName.nullable(),
      meaning: "A view of Retrigger's own database that says what trainings brought. Read hourly.",
    },
    mlflow: {
      schema: z
        .string({ error: "expected the name of a registered model" })
        .regex(/^[^\p{Cc}\p{Cs}]{1,256}$/u, "expected the name of a registered model")
        .nullable(),
      meaning: "The model's name in MLflow's registry, if it is another one.",
    },
  },
} as const satisfies FieldSet;

/** What the parts of `source` mean. */
export const SOURCE_MEANINGS = {
  checks: "Where the drift checks are: a table or view, or `reported` to Retrigger.",
  buffer: "Where the new data is counted: a table or view, or `reported` to Retrigger.",
  database: "The name of a variable that holds the URL of a database of its own.",
} as const;

export const SHADOW_MEANING =
  "A policy that is judged on the same evidence and never acted on; what it leaves out is taken from the model's policy. `off` switches off that of `defaults`.";
