import type { Policy } from "../core/policy.ts";
import type { Sources } from "../settings/sources.ts";
import type { ModelTrainer } from "../trainers/trainer.ts";

/** Where a model's outcomes are read from. */
export interface OutcomeSettings {
  /** A view of Retrigger's own database; null for none. */
  view: string | null;
  /** Its name in MLflow's registry; null: the same as here. */
  mlflow: string | null;
}

/** One model's policy, sources, trainer and schedule. */
export interface ModelConfig {
  policy: Policy;
  /** A policy that is judged on the same evidence and never acted on; null if there is none. */
  shadow: Policy | null;
  /** How the user named each check of the policy, by its key: its variable, or its place in the YAML file. */
  settingNames: Readonly<Record<string, string>>;
  source: Sources;
  /** Cron pattern in UTC; null if the model has no schedule. */
  schedule: string | null;
  /** The schedule fires up to this much later, by a stable share of it, in milliseconds. */
  spreadMs: number;
  /** How often a drift run is expected, in milliseconds; null if none is. */
  expectDriftRunEveryMs: number | null;
  trainer: ModelTrainer;
  outcomes: OutcomeSettings;
  /** The variable that holds each secret setting of the trainer, by the setting's key. */
  secretVariables: Readonly<Record<string, string>>;
}
