import type { TrainingReport } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import { createRunId } from "../../queues/run-id.ts";
import type { DecisionSummary } from "../core/report/decision-summary.ts";
import type { Client, StageProgress } from "../use-cases/client.ts";
import type { Say } from "./prepare.ts";

/** After a lost response, searching for the training takes minutes. */
const DECISION_LIMIT_MS = 600_000;
const TRAINING_LIMIT_MS = 86_400_000;

/** Sends one event about a model, as a drift run would. Returns the id of its job. */
export function sendEvent(client: Client, model: string): Promise<string> {
  const event = {
    runId: `demo-${createRunId()}`,
    status: "success",
    source: "npm run demo",
    completedAt: new Date().toISOString(),
    model,
  };
  return client.send(INBOX_JOBS.event, event);
}

/** Shows the stages of an event's run as they complete. */
export async function followDecision(client: Client, jobId: string, say: Say): Promise<DecisionSummary> {
  say(`${INBOX_JOBS.event} is on the queue (job ${jobId}).`);
  return client.waitForDecision(jobId, {
    limitMs: DECISION_LIMIT_MS,
    onStage: (progress) => say(stageLine(progress)),
    onWait: say,
  });
}

/** Follows the training of a decision, if a trainer has accepted one, to its end. */
export async function followTraining(
  client: Client,
  { model, runId, dispatch }: DecisionSummary,
  say: Say,
): Promise<void> {
  if (dispatch?.trainer === "mock" || (dispatch?.state !== "sent" && dispatch?.state !== "running")) return;
  say(`\nFollowing the training of ${model} at ${dispatch.trainer}:`);
  await client.waitForTraining(runId, {
    limitMs: TRAINING_LIMIT_MS,
    onProgress: (report) => say(trainingLine(report)),
  });
}

function stageLine({ stage, durationMs }: StageProgress): string {
  return `  ✔ ${stage.padEnd(10)} ${String(durationMs).padStart(6)} ms`;
}

function trainingLine({ state, status, conclusion, url, error, durationSeconds }: TrainingReport): string {
  const took = durationSeconds === null || conclusion === null ? null : `${durationSeconds} s`;
  return `  ${[state, status, conclusion, took, url, error].filter((part) => part !== null).join(" · ")}`;
}
