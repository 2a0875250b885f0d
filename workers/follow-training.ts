import { announceDoubles } from "../src/core/announce.ts";
import { isEnded, stateOfTraining } from "../src/core/training.ts";
import { TrainerUnavailable } from "../src/trainers/trainer.ts";
import { record } from "./training-end.ts";
import {
  later,
  type Look,
  noteOf,
  pollMs,
  toAsked,
  toReport,
  type TrainingStep,
  unchanged,
} from "./training-look.ts";

/** Asks the trainer once how a training of its stands, and goes on from the answer, or from the silence. */
export async function follow(look: Look): Promise<TrainingStep> {
  try {
    const named = await findOut(look);
    return named ? await ask(named) : silence(look, "The trainer shows no training under this run's id");
  } catch (error) {
    if (!(error instanceof TrainerUnavailable)) throw error;
    return silence(look, error.message, error.waitMs);
  }
}

/**
 * Finds out which training it is, where that is not known yet, and whether the trainer started several for the one request.
 * Null where there is none to be found.
 */
async function findOut(look: Look): Promise<Look | null> {
  const { remote, database, dispatch, job } = look;
  const isKnown = dispatch.externalId !== null || dispatch.statusUrl !== null || remote.tellsByItself;
  if (isKnown && job.note?.isCounted) return look;
  const [training, ...others] = await remote.find(toAsked(dispatch));
  const counted = { ...look, job: { ...job, note: { ...noteOf(look), isCounted: true } } };
  if (!training) return isKnown ? counted : null;
  const { externalId, url } = training;
  const extraRuns = others.map((other) => other.externalId);
  let found = dispatch;
  if (!isKnown || dispatch.state === "unknown") {
    await database.recordProgress(job.runId, {
      ...unchanged(dispatch),
      state: "sent",
      externalId,
      url,
      error: null,
    });
    found = { ...found, state: "sent", externalId, url, error: null };
    look.say(`found: ${externalId} ${url ?? ""}`);
  }
  if (extraRuns.length > dispatch.extraRuns.length) {
    await database.recordExtraRuns(job.runId, { externalId, url, extraRuns });
    found = { ...found, externalId, url, extraRuns };
    await announceExtraRuns({ ...look, dispatch: found });
  }
  return { ...counted, dispatch: found };
}

async function announceExtraRuns({ dispatch, job, notify, say }: Look): Promise<void> {
  const text = announceDoubles({ ...dispatch, model: job.model }, dispatch.extraRuns);
  say(text);
  await notify({
    kind: "training_doubled",
    model: job.model,
    runId: job.runId,
    decisionId: dispatch.decisionId,
    text,
  });
}

async function ask(look: Look): Promise<TrainingStep> {
  const { remote, dispatch, job } = look;
  const { externalId, url, statusUrl, request } = dispatch;
  const etag = job.note?.etag ?? null;
  const news = await remote.follow({
    key: job.runId,
    externalId: externalId ?? "",
    url,
    statusUrl,
    request,
    etag,
  });
  switch (news.outcome) {
    case "unchanged":
      return later(look, pollMs(look), { heardAt: Date.now(), trouble: null });
    case "nothing_to_ask":
      return silence(look, "The trainer has not told the outcome", LONGEST_PAUSE_MS);
    case "gone":
      return silence(look, news.message);
    case "seen": {
      const { etag, status, conclusion, attempt } = news;
      const heard = {
        ...look,
        job: { ...job, note: { ...noteOf(look), etag, heardAt: Date.now(), trouble: null } },
      };
      if (status === dispatch.status && conclusion === dispatch.conclusion && attempt === dispatch.attempt)
        return later(heard, pollMs(look));
      const state = stateOfTraining(status, conclusion);
      // Runs of one request may come into the list one after the other.
      const counted = isEnded(state) ? ((await findOut(uncounted(heard))) ?? heard) : heard;
      // The one that ended left because an older one trains: that one is the training.
      if (counted.dispatch.externalId !== externalId) return later(counted, 0, { etag: null });
      return record(counted, { ...unchanged(counted.dispatch), ...news, state });
    }
    default:
      return news satisfies never;
  }
}

function uncounted(look: Look): Look {
  return { ...look, job: { ...look.job, note: { ...noteOf(look), isCounted: false } } };
}

const LONGEST_PAUSE_MS = 600_000;

/** Nothing was heard. That is no news for a while, and after too long an end of its own. */
async function silence(look: Look, why: string, waitMs: number | null = null): Promise<TrainingStep> {
  const { dispatch, patience, job, say } = look;
  const limitMs = patience.lostAfterSeconds * 1000;
  const heardAgoMs = Date.now() - noteOf(look).heardAt;
  if (heardAgoMs >= limitMs) {
    // Whether it was started at all is for a person to say.
    if (dispatch.state === "unknown") return { outcome: "ended", report: toReport(dispatch) };
    const error = `Nothing was heard of it for ${Math.round(heardAgoMs / 1000)} s. ${why}`;
    return record(look, { ...unchanged(dispatch), state: "failed", conclusion: "lost", error });
  }
  if (job.note?.trouble !== why) say(why);
  // Growing pauses, and a look when it is time to give it up.
  const pauseMs = Math.max(waitMs ?? 0, pollMs(look), Math.min(heardAgoMs / 4, LONGEST_PAUSE_MS));
  return later(look, Math.min(pauseMs, limitMs - heardAgoMs + 1_000), { trouble: why });
}
