import { Gauge, type Registry } from "prom-client";
import type { ModelGauges } from "../../postgres/model-gauges.ts";
import { escapeControls } from "../../process/terminal.ts";

/** The state that all processes share, as read for a scrape. Parts whose server is away are null. */
export interface SharedState {
  servers: { postgres: boolean; redis: boolean };
  queues: QueueState | null;
  dispatches: { model: string; trainer: string; state: string; count: number }[] | null;
  models: ReadonlyMap<string, ModelState> | null;
}

export interface QueueState {
  counts: { queue: string; counts: Record<string, number> }[];
  ages: ReadonlyMap<string, number>;
  scheduleLag: number;
}

export interface ModelState {
  /** How often a drift run is expected, in seconds; null for never. */
  expectsRunEvery: number | null;
  /** Of the latest decision; null if there is none. */
  latest: ModelGauges | null;
}

/** Defines the gauges of the shared state on a registry. Returns a function that sets all of them. */
export function createStateGauges(registry: Registry): (state: SharedState) => void {
  const define = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) => {
    const gauge = new Gauge<Label>({ name, help, labelNames, registers: [registry] });
    gauges.push(gauge);
    return gauge;
  };
  const gauges: Pick<Gauge, "reset">[] = [];
  const setQueues = defineQueueGauges(define);
  const setModels = defineModelGauges(define);
  const servers = define("retrigger_server_up", "1 if Postgres responds, if Redis accepts writes; else 0", [
    "server",
  ]);
  const dispatches = define(
    "retrigger_dispatches",
    "Dispatches by state; an unknown one must be settled by hand",
    ["model", "trainer", "state"],
  );
  return (state) => {
    for (const gauge of gauges) gauge.reset();
    for (const [server, isUp] of Object.entries(state.servers)) servers.set({ server }, isUp ? 1 : 0);
    setQueues(state.queues);
    for (const { model, trainer, state: reached, count } of state.dispatches ?? [])
      dispatches.inc({ model, trainer: escapeControls(trainer), state: reached }, count);
    setModels(state.models);
  };
}

type Define = <Label extends string>(
  name: string,
  help: string,
  labelNames?: readonly Label[],
) => Gauge<Label>;

function defineQueueGauges(define: Define) {
  const counts = define("bullmq_job_count", "Number of jobs in the queue by state", ["queue", "state"]);
  const ages = define(
    "retrigger_oldest_job_age_seconds",
    "How long the oldest job that could run has waited for a worker; 0 if none waits",
    ["queue"],
  );
  const lag = define(
    "retrigger_schedule_lag_seconds",
    "How late the schedule is that is furthest behind; 0 if none is",
  );
  return (queues: QueueState | null): void => {
    // A gauge without labels would show 0.
    if (queues === null) return lag.remove();
    for (const { queue, counts: byState } of queues.counts)
      for (const [state, count] of Object.entries(byState)) counts.set({ queue, state }, count);
    for (const [queue, age] of queues.ages) ages.set({ queue }, age);
    lag.set(queues.scheduleLag);
  };
}

function defineModelGauges(define: Define) {
  const ofModel = (name: string, help: string) => define(name, help, ["model"]);
  const interval = ofModel(
    "retrigger_drift_run_interval_seconds",
    "How often a drift run is expected; absent if none is",
  );
  const missing = ofModel(
    "retrigger_drift_runs_missing",
    "1 if the latest decision found that drift runs were missing; absent if none are expected",
  );
  const taken = ofModel("retrigger_last_decision_timestamp_seconds", "When the latest decision was made");
  const next = ofModel(
    "retrigger_next_look_timestamp_seconds",
    "When the model is due for re-evaluation; absent if only an event or a schedule calls for it",
  );
  const checked = ofModel(
    "retrigger_last_check_timestamp_seconds",
    "When the newest drift check was made that the latest decision saw",
  );
  const buffer = ofModel("retrigger_buffer_rows", "Size of the buffer that the latest decision saw");
  const labels = ["model", "feature"] as const;
  const score = define(
    "retrigger_drift_score",
    "Score of the newest check that the latest decision saw",
    labels,
  );
  const threshold = define("retrigger_drift_threshold", "Threshold of that check", labels);
  return (models: SharedState["models"]): void => {
    for (const [model, { expectsRunEvery, latest }] of models ?? []) {
      set(interval, { model }, expectsRunEvery);
      if (latest === null) continue;
      if (expectsRunEvery !== null) set(missing, { model }, latest.driftRunsMissing === true ? 1 : 0);
      set(taken, { model }, latest.takenAt);
      set(next, { model }, latest.nextLookAt);
      set(checked, { model }, latest.checkedAt);
      set(buffer, { model }, latest.bufferSize);
      for (const [feature, ofScore, ofThreshold] of latest.features) {
        const check = { model, feature: escapeControls(feature) };
        set(score, check, ofScore);
        set(threshold, check, ofThreshold);
      }
    }
  };
}

function set<Label extends string>(gauge: Gauge<Label>, labels: Record<Label, string>, value: unknown): void {
  // JSON has no number for the infinite times of Postgres, which arrive as text.
  if (typeof value === "number" && Number.isFinite(value)) gauge.set(labels, value);
}
