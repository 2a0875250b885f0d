import { stringify } from "yaml";
import { formatDuration } from "../core/duration.ts";
import { GUARDS } from "../core/guards/registry.ts";
import { type Policy, settingsOf } from "../core/policy.ts";
import { type BufferSource, type ChecksSource, type Sources } from "../settings/sources.ts";
import type { ModelConfig } from "./model-config.ts";

/**
 * The settings in force as the YAML file would have them, with all defaults: as input, it gives the same settings again. Each
 * secret is shown as the variable that holds it.
 */
export function toConfigFile(models: ReadonlyMap<string, ModelConfig>): object {
  return { models: Object.fromEntries([...models].map(([name, model]) => [name, toSection(model)])) };
}

/** The same for one model, as YAML; not redacted. */
export function renderSettings(name: string, model: ModelConfig): string {
  return stringify(toConfigFile(new Map([[name, model]])));
}

function toSection(model: ModelConfig): object {
  const { schedule, spreadMs, expectDriftRunEveryMs, source, policy, shadow } = model;
  return {
    schedule: schedule ?? "off",
    spread: formatDuration(spreadMs),
    expectDriftRunEvery: expectDriftRunEveryMs === null ? "off" : formatDuration(expectDriftRunEveryMs),
    source: toSource(source),
    trainer: toTrainer(model),
    ...toOutcomes(model),
    policy: { when: policy.when, guards: toGuards(policy) },
    // What it leaves out would be taken from the policy.
    ...(shadow && { shadow: { when: shadow.when, guards: toGuards(shadow, policy) } }),
  };
}

function toSource({ checks, buffer, database }: Sources): object {
  return {
    checks: checks.kind === "reported" ? "reported" : toTable(checks),
    buffer: {
      ...(buffer.kind === "reported" ? { reported: true } : toTable(buffer)),
      unit: buffer.unit,
      ...(buffer.since === null ? {} : { since: buffer.since }),
    },
    ...(database === null ? {} : { database: database.variable }),
  };
}

function toTable({ table, columns, where }: Extract<ChecksSource | BufferSource, { kind: "table" }>): object {
  return {
    table,
    ...(Object.keys(columns).length === 0 ? {} : { columns }),
    ...(Object.keys(where).length === 0 ? {} : { where }),
  };
}

function toTrainer({ trainer: { name, settings }, secretVariables }: ModelConfig): object {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { [name]: { ...Object.fromEntries(given), ...secretVariables } };
}

function toOutcomes({ outcomes: { view, mlflow } }: ModelConfig): object {
  const given = { ...(view === null ? {} : { view }), ...(mlflow === null ? {} : { mlflow }) };
  return Object.keys(given).length === 0 ? {} : { outcomes: given };
}

/** @param base What a guard that is left out would be taken from. */
function toGuards(policy: Policy, base?: Policy): object {
  return Object.fromEntries(
    GUARDS.flatMap((guard): [string, unknown][] => {
      const settings = settingsOf(policy, guard);
      const isInherited = base !== undefined && settingsOf(base, guard) !== null;
      if (settings === null) return guard.default === null && !isInherited ? [] : [[guard.key, "off"]];
      return [[guard.key, Object.keys(settings).length === 0 ? "on" : settings]];
    }),
  );
}
