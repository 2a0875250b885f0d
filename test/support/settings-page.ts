import { format, resolveConfig } from "prettier";
import { SERVICE_SETTINGS } from "../../src/config/service-settings.ts";
import type { Check } from "../../src/core/check.ts";
import { CRITERIA } from "../../src/core/criteria/registry.ts";
import { GUARDS } from "../../src/core/guards/registry.ts";
import type { Setting } from "../../src/core/setting.ts";
import { TRAINERS } from "../../src/trainers/registry.ts";

/** docs/settings.md as the registries describe it. `npm run docs` writes it, and a test compares it. */
export async function renderSettingsPage(path: string): Promise<string> {
  const text = [
    "# Settings",
    "Settings come from the environment, or from `.env` in the working directory; the environment wins. Every fault is reported at once, with the variable's name, before anything starts. A variable of eight letters or more that is one typo away from a setting that is not set is a fault too.",
    "```\ncp .env.example .env\nnpx retrigger doctor          # shows the policy in force and checks what the settings name\n```",
    "Several models: a YAML file, named by `RETRIGGER_CONFIG`, gives each model the settings in which it differs from the environment, by the key in the column _per model_. See [retrigger.example.yaml](../retrigger.example.yaml).",
    "<!-- Generated from the registries of checks and trainers by: npm run docs -->",
    "## Policy",
    "A model is retrained if every criterion holds:",
    ...renderChecks(CRITERIA),
    "and every guard passes:",
    ...renderChecks(GUARDS),
    "A failed check stops the training; its reason code is in `retraining_decisions.reason_codes`. What to do about each: [troubleshooting](troubleshooting.md).",
    renderTable([...CRITERIA, ...GUARDS].flatMap(({ settings }) => Object.values(settings))),
    "## Service",
    renderTable(Object.values(SERVICE_SETTINGS)),
    "## Trainers",
    TRAINERS.map(({ name, meaning }) => `- \`TRAINER=${name}\`: ${meaning}`).join("\n"),
    "How to set each of them up: [trainers](trainers.md).",
    ...renderTrainers(),
  ].join("\n\n");
  return format(text, { ...(await resolveConfig(path)), parser: "markdown" });
}

function renderChecks(checks: readonly Check[]): string[] {
  return [
    checks.map(({ label, reason }) => `- ${label.replace(/\?$/, "")} (if not: \`${reason}\`)`).join("\n"),
  ];
}

/** Each trainer with the settings that no trainer before it has. */
function renderTrainers(): string[] {
  const shown = new Set<string>();
  return TRAINERS.flatMap(({ name, settings }) => {
    const own = Object.values(settings).filter(({ variable }) => !shown.has(variable));
    for (const { variable } of own) shown.add(variable);
    const owners = TRAINERS.filter((trainer) =>
      Object.values(trainer.settings).some(({ variable }) => variable === own[0]?.variable),
    );
    return own.length === 0
      ? []
      : [`### ${owners.map((trainer) => `\`${trainer.name}\``).join(" and ") || name}`, renderTable(own)];
  });
}

function renderTable(settings: readonly Setting[]): string {
  const unique = [...new Map(settings.map((setting) => [setting.variable, setting])).values()];
  return [
    "| variable | default | per model | meaning |",
    "| --- | --- | --- | --- |",
    ...unique.map(
      (setting) =>
        `| \`${setting.variable}\` | ${describeDefault(setting)} | ${setting.modelKey === undefined ? "" : `\`${setting.modelKey}\``} | ${setting.meaning} |`,
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
