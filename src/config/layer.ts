import { type Duration, toMs } from "../core/duration.ts";
import type { Fault } from "../core/fields.ts";
import { type Policy, policyOf, POLICY_SETTINGS, VARIABLE_OF } from "../core/policy.ts";
import { type BufferSource, type ChecksSource, GUIDE_TABLES, type Sources } from "../settings/sources.ts";
import type { ModelConfig, OutcomeSettings } from "./model-config.ts";
import { SERVICE_SETTINGS } from "./service-settings.ts";
import { readValues } from "./settings.ts";
import type { TrainerLayer } from "./trainer-section.ts";

/** The settings of a model as far as the environment, then `defaults`, then the model's own section decide them. */
export interface Layer {
  /** A cron pattern, or `off`. */
  schedule: string;
  spread: Duration;
  /** A duration, or `off`. */
  expectDriftRunEvery: string;
  policy: Policy;
  shadow: ShadowLayer | null;
  settingNames: ModelConfig["settingNames"];
  checks: ChecksSource;
  /** `unit` is null unless the file names it. */
  buffer: DistributiveOmit<BufferSource, "unit"> & { unit: string | null };
  database: Sources["database"];
  trainer: TrainerLayer;
  outcomes: OutcomeSettings;
  /** Where the file decides what a variable would have decided, by the variable. */
  places: Readonly<Record<string, Fault["path"]>>;
}

/** What the file says under `shadow`, the path where it stands, and the policy that it makes of the model's own. */
export interface ShadowLayer {
  given: unknown;
  path: Fault["path"];
  policy: Policy;
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** The settings that the environment gives to every model. @param values By variable. */
export function environmentLayer(values: Readonly<Record<string, unknown>>): Layer {
  const { schedule, trainer, driftAlertsTable, ratingsBufferTable } = readValues(SERVICE_SETTINGS, values);
  return {
    schedule,
    spread: "0s",
    expectDriftRunEvery: "off",
    policy: policyOf(readValues(POLICY_SETTINGS, values)),
    shadow: null,
    settingNames: VARIABLE_OF,
    checks: { kind: "table", table: driftAlertsTable, columns: {}, where: {} },
    buffer: { kind: "table", table: ratingsBufferTable, columns: {}, where: {}, unit: null, since: null },
    database: null,
    trainer: { name: trainer, own: {}, variables: {}, place: null },
    outcomes: { view: null, mlflow: null },
    places: {},
  };
}

/** @param trainer The settings of the layer's trainer. */
export function toModelConfig(
  layer: Layer,
  trainer: Pick<ModelConfig, "trainer" | "secretVariables">,
): ModelConfig {
  const { schedule, spread, expectDriftRunEvery, policy, shadow, settingNames, checks, buffer, database } =
    layer;
  const isGuideTable = buffer.kind === "table" && buffer.table === GUIDE_TABLES.buffer && database === null;
  return {
    policy,
    shadow: shadow && shadow.policy,
    settingNames,
    source: {
      checks,
      buffer: { ...buffer, unit: buffer.unit ?? (isGuideTable ? "ratings" : "rows") },
      database,
    },
    schedule: schedule === "off" ? null : schedule,
    spreadMs: toMs(spread),
    expectDriftRunEveryMs: expectDriftRunEvery === "off" ? null : toMs(expectDriftRunEvery),
    outcomes: layer.outcomes,
    ...trainer,
  };
}
