import { format, resolveConfig } from "prettier";
import {
  BUFFER_FIELDS,
  CHECKS_FIELDS,
  MODEL_FIELDS,
  OUTCOME_FIELDS,
  SHADOW_MEANING,
  SOURCE_MEANINGS,
} from "../../src/config/file-fields.ts";
import { SERVICE_SETTINGS } from "../../src/config/service-settings.ts";
import { POLICY_SETTINGS } from "../../src/core/policy.ts";
import type { Setting } from "../../src/core/setting.ts";
import { TRAINERS } from "../../src/trainers/registry.ts";

/** docs/settings.md as the registries describe it. `npm run docs` writes it, and a test compares it. */
export async function renderSettingsPage(path: string): Promise<string> {
  const text = [
    "# Settings",
    "Settings come from the environment, or from `.env` in the working directory; the environment wins. An empty variable is not set. Every fault is reported at once, before anything starts: the variable or the place in the file, the value, and what to do.",
    "```\ncp .env.example .env\nnpx retrigger config check    # every fault, or a line per model; needs no server\nnpx retrigger doctor          # also checks what the settings name\n```",
    "The environment is enough for one model, `default`, with the guide's policy. Several models, other policies and other sources are in a YAML file: see [the file](#the-file).",
    "A variable that starts with `RETRIGGER_`, or is one typo away from a setting that is not set, is a fault too.",
    "<!-- Generated from the registries of settings and trainers by: npm run docs -->",
    "## Policy",
    "The thresholds of the guide's policy. In the file, a model has them under `policy`, by the names in parentheses; [policies](policies.md) has every criterion and guard.",
    renderTable(Object.values(POLICY_SETTINGS)),
    "## Service",
    renderTable(Object.values(SERVICE_SETTINGS)),
    "## Trainers",
    TRAINERS.map(({ name, meaning }) => `- \`TRAINER=${name}\`: ${meaning}`).join("\n"),
    "How to set each of them up: [trainers](trainers.md). In the file, a model has these settings under `trainer` and the trainer's name, by their keys.",
    ...renderTrainers(),
    ...renderFile(),
  ].join("\n\n");
  return format(text, { ...(await resolveConfig(path)), parser: "markdown" });
}

const EXAMPLE = `defaults:
  schedule: "0 6 * * *"
models:
  films:
    source:
      checks: { table: films.drift_log, columns: { feature: metric, score: value } }
      buffer: { table: films.events, unit: events, since: lastTraining }
    trainer: { github: { workflow: film_training.yml } }
    policy:
      when: { driftAlerts: 2, bufferSize: 100000 }
      guards: { cooldown: 7d }
  fraud:
    source: { checks: reported, buffer: reported }`;

function renderFile(): string[] {
  return [
    "## The file",
    "`RETRIGGER_CONFIG` names it. [retrigger.example.yaml](../retrigger.example.yaml) has three models.",
    `\`\`\`yaml\n${EXAMPLE}\n\`\`\``,
    "Every part is optional. What a model leaves out is taken from `defaults`, then from the environment, then from the built-in values. A model's `policy.when` replaces that of `defaults` as a whole; guards, the parts of `source` and the settings of the same trainer are taken over one by one, and `off` switches a guard off. Without `models`, the file is about the model `default`; with them, it must list every model.",
    "```\nnpx retrigger config check                                # every fault with its path and line\nnpx retrigger config print --model films                  # what is in force, with all defaults\nnpx retrigger config schema > retrigger.schema.json       # for editors: completion and checks\n```",
    "With the first line `# yaml-language-server: $schema=retrigger.schema.json`, editors check the file while you write. Secrets stay out of the file: where one is expected, write the name of the variable that holds it. A duration is written as `30s`, `10m`, `24h`, `7d` or `2w`.",
    "### A model, or `defaults`",
    renderFields({
      ...MODEL_FIELDS,
      source: meaningOf("Where its drift checks and its new data come from: see below."),
      trainer: meaningOf("`mock`, or a trainer with settings: `{ github: { workflow: train.yml } }`."),
      outcomes: meaningOf("Where outcomes are read from: see below."),
      policy: meaningOf("`when` and `guards`: see [policies](policies.md)."),
      shadow: meaningOf(SHADOW_MEANING),
    }),
    "### `source`",
    renderFields(
      Object.fromEntries(Object.entries(SOURCE_MEANINGS).map(([key, meaning]) => [key, meaningOf(meaning)])),
    ),
    "### `source.checks`",
    renderFields({ ...CHECKS_FIELDS.fields, columns: meaningOf(CHECKS_FIELDS.nested.columns.meaning) }),
    listColumns(CHECKS_FIELDS.nested.columns.fields),
    "### `source.buffer`",
    renderFields({ ...BUFFER_FIELDS.fields, columns: meaningOf(BUFFER_FIELDS.nested.columns.meaning) }),
    listColumns(BUFFER_FIELDS.nested.columns.fields),
    "### `outcomes`",
    renderFields(OUTCOME_FIELDS.fields),
  ];
}

type Described = Readonly<Record<string, { meaning: string; default?: unknown }>>;

function meaningOf(meaning: string): Described[string] {
  return { meaning };
}

function renderFields(fields: Described): string {
  return [
    "| key | default | meaning |",
    "| --- | --- | --- |",
    ...Object.entries(fields).map(
      ([key, { default: standard, meaning }]) =>
        `| \`${key}\` | ${typeof standard === "string" ? `\`${standard}\`` : ""} | ${meaning} |`,
    ),
  ].join("\n");
}

function listColumns(fields: Described): string {
  const names = Object.entries(fields).map(
    ([key, { default: name }]) => `\`${key}\` (\`${name as string}\`)`,
  );
  return `Columns, with the names that they have in the guide: ${names.join(", ")}.`;
}

/** Each trainer with the settings that no trainer before it has. */
function renderTrainers(): string[] {
  const shown = new Set<string>();
  return TRAINERS.flatMap(({ name, settings }) => {
    const own = Object.entries(settings).filter(([, { variable }]) => !shown.has(variable));
    for (const [, { variable }] of own) shown.add(variable);
    const owners = TRAINERS.filter((trainer) =>
      Object.values(trainer.settings).some(({ variable }) => variable === own[0]?.[1].variable),
    );
    return own.length === 0
      ? []
      : [
          `### ${owners.map((trainer) => `\`${trainer.name}\``).join(" and ") || name}`,
          [
            "| variable | key | default | meaning |",
            "| --- | --- | --- | --- |",
            ...own.map(
              ([key, setting]) =>
                `| \`${setting.variable}\` | \`${key}\` | ${describeDefault(setting)} | ${setting.meaning} |`,
            ),
          ].join("\n"),
        ];
  });
}

function renderTable(settings: readonly Setting[]): string {
  return [
    "| variable | default | meaning |",
    "| --- | --- | --- |",
    ...settings.map(
      (setting) => `| \`${setting.variable}\` | ${describeDefault(setting)} | ${setting.meaning} |`,
    ),
  ].join("\n");
}

function describeDefault({ default: text, variable }: Setting): string {
  const requiredBy = TRAINERS.filter(({ settings }) =>
    Object.values(settings).some((own) => own.variable === variable && own.required !== undefined),
  ).map(({ name }) => name);
  const value = text === undefined ? "" : `\`${text}\``;
  if (requiredBy.length === 0) return value;
  return text === undefined
    ? "required"
    : `${value}; required for ${requiredBy.map((name) => `\`${name}\``).join(", ")}`;
}
