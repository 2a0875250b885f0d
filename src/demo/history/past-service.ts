import type { ReportedCheck } from "../../../queues/reports.ts";
import type { Cause } from "../../../queues/jobs.ts";
import { deriveRunId } from "../../../queues/run-id.ts";
import { createDispatcher, FIRST_POLL } from "../../../workers/dispatch.ts";
import { judgeGatheredShadow } from "../../../workers/judge-shadow.ts";
import type { Config } from "../../config/config.ts";
import { findModel } from "../../config/find-model.ts";
import { effectsOf } from "../../core/dispatch/effects.ts";
import type { DispatchInput } from "../../core/dispatch/transition.ts";
import { evaluate } from "../../core/evaluate.ts";
import type { Database } from "../../postgres/database.ts";
import { draftRecord } from "../../trainers/draft-decision.ts";
import type { Trainers } from "../../trainers/trainers.ts";
import type { OutcomeReport } from "../../core/outcome/outcome.ts";
import { audited } from "../../use-cases/audited.ts";
import { answerApproval } from "../../use-cases/interventions.ts";
import { findTraining, reportOutcome } from "../../use-cases/report-outcome.ts";
import type { Agenda } from "./agenda.ts";
import type { Past } from "./past.ts";

/** How a training goes. */
export type SampleTraining = Omit<
  Extract<DispatchInput, { kind: "run_ended" }>,
  "kind" | "durationSeconds"
> & {
  durationSeconds: number;
};

/** A drift run as it is reported: its checks, and how many rows have arrived. */
interface SampleRun {
  runId: string;
  source: string;
  checks: readonly ReportedCheck[];
  rows: number;
}

/** What the service does, at the simulated time, without Redis. */
export interface PastService {
  /** Saves the checks and the new data that a detector and a pipeline report. */
  saveReports(model: string, run: SampleRun): Promise<void>;
  /** Takes the event of a drift run, and decides. */
  receiveEvent(model: string, event: { runId: string; source: string }): Promise<void>;
  /** Approves the training that the model's latest decision awaits; a decision follows. */
  approve(model: string, given: { by: string; reason: string }): Promise<void>;
  /** Records what the model's latest training brought, as the last step of its workflow reports it. */
  reportOutcome(model: string, report: OutcomeReport): Promise<void>;
}

export interface PastServiceDependencies {
  config: Pick<Config, "models" | "timing">;
  /** On the simulated time. */
  database: Database;
  trainers: Trainers;
  past: Pick<Past, "now">;
  /** Where the service puts what it will do later: to re-evaluate, to follow a training. */
  agenda: Agenda;
  /** How the next training of a model goes. */
  nextTraining(model: string): SampleTraining;
}

/** A job starts this long after it was requested. */
const JOB_DELAY_MS = 1_000;

/**
 * The service in the past. Evidence, verdicts, decisions, dispatches and approvals come from the code that the service runs; only
 * its queues and its lock are left out, because here one thing happens after another.
 */
export function createPastService(dependencies: PastServiceDependencies): PastService {
  const { config, database, trainers, past, agenda, nextTraining } = dependencies;
  const latest = new Map<string, number>();
  const latestTrigger = new Map<string, number>();
  const cancelNextLook = new Map<string, () => void>();
  let runs = 0;

  const createPastRunId = (model: string): string => {
    runs += 1;
    return deriveRunId(`history ${model} ${runs}`, past.now());
  };
  const decideSoon = (model: string, cause: Cause): void => {
    agenda.add(past.now() + JOB_DELAY_MS, () => decide(model, cause, createPastRunId(model)));
  };
  const dispatcher = createDispatcher({
    database,
    trainers,
    timing: config.timing,
    findModel: (model) => findModel(config.models, model),
    notify: async () => {},
    notifyEnd: async () => {},
    followTraining: async (job) => follow(job),
    reevaluate: async (model) => decideSoon(model, "followup"),
  });

  async function decide(model: string, cause: Cause, runId: string): Promise<void> {
    const modelConfig = findModel(config.models, model);
    const { policy } = modelConfig;
    const { evidence, seen } = await database.gatherEvidence(model, modelConfig);
    const verdict = evaluate(evidence, policy);
    const pinned = modelConfig.shadow && seen && { policy: modelConfig.shadow, seen };
    const { shadow } = judgeGatheredShadow({ evidence, shadow: pinned });
    const trainer = trainers.of(model);
    if (verdict.decision === "trigger" && trainer.remote?.traits.runsHere === false)
      throw new Error(`The history of ${model} would start a training with ${trainer.name} now`);
    const judged = { runId, model, cause, evidence, policy, verdict, shadow };
    const result = await database.recordDecision(draftRecord(judged, trainer));
    if (result.outcome === "superseded")
      throw new Error(`A decision about ${model} in the past was superseded: ${result.because}`);
    const { id, nextLookInMs, dispatch } = result.decision;
    latest.set(model, id);
    if (verdict.decision === "trigger") latestTrigger.set(model, id);
    cancelNextLook.get(model)?.();
    if (nextLookInMs !== null) {
      const look = (): Promise<void> => decide(model, "followup", createPastRunId(model));
      cancelNextLook.set(model, agenda.add(past.now() + nextLookInMs, look));
    }
    if (dispatch !== null && trainer.remote) await request(runId);
  }

  async function request(runId: string): Promise<void> {
    const { record } = await dispatcher.takeStep(await readDispatch(runId), FIRST_POLL);
    await dispatcher.carryOut(record, effectsOf(record.dispatch));
  }

  function follow({ runId, model }: { runId: string; model: string }): void {
    const training = nextTraining(model);
    const apply = async (input: DispatchInput): Promise<void> => {
      const { record, effects } = await dispatcher.apply(await readDispatch(runId), input);
      // Like the job that follows a training.
      await dispatcher.carryOut(
        record,
        effects.filter((effect) => effect !== "follow"),
      );
    };
    const startsAt = past.now() + JOB_DELAY_MS;
    agenda.add(startsAt, () => apply({ kind: "run_started" }));
    agenda.add(startsAt + training.durationSeconds * 1000, () => apply({ kind: "run_ended", ...training }));
  }

  async function readDispatch(runId: string) {
    const record = await database.readDispatch(runId);
    if (record === null) throw new Error(`The run ${runId} in the past has no dispatch`);
    return record;
  }

  return {
    async saveReports(model, { runId, source, checks, rows }) {
      await database.saveChecks(model, checks, { runId, source });
      await database.saveGrowth(model, { rows, id: runId });
    },
    async receiveEvent(model, { runId: eventRunId, source }) {
      const runId = createPastRunId(model);
      const completedAt = new Date(past.now()).toISOString();
      const event = { runId: eventRunId, model, status: "success", source, completedAt } as const;
      await database.recordEvent({ model, event, jobKey: `history-${runId}`, outcome: "started", runId });
      await decide(model, "event", runId);
    },
    async approve(model, { by, reason }) {
      const decisionId = latest.get(model) ?? 0;
      const actor = { name: by, role: null, means: "cli", address: null, tokenId: null } as const;
      const done = { action: "approve", target: `decision ${decisionId}`, status: null };
      const client = {
        async send() {
          decideSoon(model, "manual");
          return "";
        },
      };
      await audited(database, actor, done, () =>
        answerApproval({ database, client }, decisionId, { state: "approved", by, reason }),
      );
    },
    async reportOutcome(model, report) {
      const name = `${model}-training`;
      const actor = { name, role: "emit", means: "token", address: null, tokenId: null } as const;
      const decisionId = latestTrigger.get(model) ?? 0;
      const training = await findTraining(database, config.models, { model, decisionId });
      const done = { action: "outcome", target: `decision ${decisionId}`, status: 201 };
      await audited(database, actor, done, () =>
        reportOutcome(database, training, report, { source: "api", by: name }),
      );
    },
  };
}
