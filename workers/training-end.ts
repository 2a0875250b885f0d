import { announceEnd } from "../src/core/announce.ts";
import { computeBackoffSeconds, isEnded, stateOfTraining } from "../src/core/training.ts";
import type { Progress } from "../src/postgres/trainings.ts";
import { TrainerUnavailable } from "../src/trainers/trainer.ts";
import { later, type Look, pollMs, toReport, type TrainingStep, unchanged } from "./training-look.ts";

/** Writes down what is new and goes on from there. */
export async function record(look: Look, progress: Progress): Promise<TrainingStep> {
  const { database, job, say } = look;
  await database.recordProgress(job.runId, progress);
  const { state, conclusion, error } = progress;
  say([progress.status ?? state, conclusion, error].filter((part) => part !== null).join(" · "));
  // Somebody else may have written another end before, which then stands.
  const dispatch = (await database.readDispatch(job.runId)) ?? look.dispatch;
  const now = { ...look, dispatch };
  return isEnded(dispatch.state) ? end(now) : later(now, pollMs(look));
}

/** A training that failed is looked at once more: a person may have run it again, and a lost one may have turned up. */
export async function lookOnceMore(look: Look): Promise<TrainingStep> {
  const { remote, dispatch, job } = look;
  const { externalId, url, statusUrl, request, attempt } = dispatch;
  if (remote.run || externalId === null) return end(look);
  try {
    const news = await remote.follow({ key: job.runId, externalId, url, statusUrl, request, etag: null });
    const isAlive =
      dispatch.conclusion === "lost" || (news.outcome === "seen" && (news.attempt ?? 0) > (attempt ?? 0));
    if (news.outcome === "seen" && isAlive) {
      const state = stateOfTraining(news.status, news.conclusion);
      return await record(look, { ...unchanged(dispatch), ...news, state, error: null });
    }
  } catch (error) {
    if (!(error instanceof TrainerUnavailable)) throw error;
  }
  return end(look);
}

/** Tells of the end; keeps the alerts of a failed training for a while, then has somebody look again. */
export async function end(look: Look): Promise<TrainingStep> {
  const { dispatch, job, notify, findModel, lookAgain } = look;
  const { policy } = findModel(job.model);
  const isFailure = dispatch.state !== "succeeded";
  const backoffMs = computeBackoffSeconds(policy.backoffSeconds, Math.max(1, dispatch.failures)) * 1000;
  // Without the guard no alert is ever used up, and none is kept.
  const leftMs = isFailure && policy.retriggerGuard ? backoffMs - (dispatch.endedAgoMs ?? 0) : 0;
  const alertsBackAt = leftMs > 0 ? new Date(Date.now() + leftMs).toISOString() : null;
  const report = { ...toReport(dispatch), alertsBackAt };
  const text = announceEnd({ ...dispatch, model: job.model }, { ...dispatch, alertsBackAt });
  const about = { model: job.model, runId: job.runId, decisionId: dispatch.decisionId };
  // Each attempt has an end of its own, and one that was lost may have another.
  const ending = [dispatch.attempt ?? 1, dispatch.state, dispatch.conclusion ?? ""].join("-");
  await notify({ ...about, kind: "training_ended", text }, `-${ending.replaceAll(/[^\w-]/g, "_")}`);
  if (leftMs > 0) {
    if (job.note?.trouble !== KEPT) look.say(`its alerts are given back at ${alertsBackAt}`);
    return { ...later(look, leftMs, { trouble: KEPT }), report };
  }
  if ((isFailure && policy.retriggerGuard) || dispatch.keptOthersWaiting) await lookAgain(job.model);
  return { outcome: "ended", report };
}

const KEPT = "its alerts are kept";
