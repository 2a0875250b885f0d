import { collectDefaultMetrics, Counter, Histogram, Registry } from "prom-client";
import { limitLabels } from "../core/label-limit.ts";

/** What the workers of this process report as it happens. */
export interface WorkMetrics {
  /** A job of a stage has completed. */
  countStage(stage: string, seconds: number): void;
  /** A decision was recorded, and not found recorded by an earlier attempt. */
  countDecision(decision: CountedDecision): void;
  /** A run ended without a decision, because its evidence no longer held. */
  countSuperseded(because: string): void;
}

export interface CountedDecision {
  model: string;
  /** As in `retraining_decisions.decision`. */
  decision: string;
  /** The code of the first reason. */
  reason: string;
  /** When the event that began the run was received, Unix milliseconds; null if no event began it. */
  receivedAt: number | null;
}

/** A stage takes milliseconds; one that waits for a slow database or trainer takes minutes. */
const STAGE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 120];
const DECISION_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200];

/**
 * Defines the metrics of the workers on a registry.
 *
 * @param listModels The models in force: the first of them are named, see `limitLabels`.
 */
export function createWorkMetrics(
  registry: Registry,
  listModels: () => ReadonlyMap<string, unknown>,
): WorkMetrics {
  const registers = [registry];
  const decisions = new Counter({
    name: "retrigger_decisions_total",
    help: "Decisions that this process recorded, by the code of their first reason",
    labelNames: ["model", "decision", "reason"],
    registers,
  });
  const superseded = new Counter({
    name: "retrigger_superseded_runs_total",
    help: "Runs of this process that recorded nothing, because another run decided first or their evidence no longer held",
    labelNames: ["because"],
    registers,
  });
  const stages = new Histogram({
    name: "retrigger_stage_duration_seconds",
    help: "How long the jobs of a stage took that this process completed",
    labelNames: ["stage"],
    buckets: STAGE_BUCKETS,
    registers,
  });
  const delays = new Histogram({
    name: "retrigger_event_to_decision_seconds",
    help: "From the reception of the event that began a run to the decision that this process recorded",
    buckets: DECISION_BUCKETS,
    registers,
  });
  const labelOf = createModelLabels(listModels);
  return {
    countStage: (stage, seconds) => stages.observe({ stage }, seconds),
    countDecision({ model, decision, reason, receivedAt }) {
      decisions.inc({ model: labelOf(model), decision, reason });
      // The clock of a producer may be ahead.
      if (receivedAt !== null) delays.observe(Math.max(0, Date.now() - receivedAt) / 1000);
    },
    countSuperseded: (because) => superseded.inc({ because }),
  };
}

/** Labels models, by the ones in force. A reload replaces the map of models. */
function createModelLabels(listModels: () => ReadonlyMap<string, unknown>): (model: string) => string {
  let models: ReadonlyMap<string, unknown> | null = null;
  let labelOf = limitLabels([]);
  return (model) => {
    const current = listModels();
    if (current !== models) {
      models = current;
      labelOf = limitLabels(current.keys());
    }
    return labelOf(model);
  };
}

let processMetrics: Registry | null = null;

/** Renders the metrics of a registry, and those of the process itself, in the text format of Prometheus. */
export async function renderMetrics(registry: Registry): Promise<string> {
  return Registry.merge([registry, observeProcess()]).metrics();
}

/** Memory, CPU, event loop and so on. Observed once, because the observers cannot be stopped, and only if it is read. */
export function observeProcess(): Registry {
  if (processMetrics === null) {
    processMetrics = new Registry();
    collectDefaultMetrics({ register: processMetrics });
  }
  return processMetrics;
}
