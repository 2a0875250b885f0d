import { announceDoubles, announceUnknown } from "../src/core/announce.ts";
import { isEnded, stateOfTraining } from "../src/core/training.ts";
import type { FollowedDispatch } from "../src/postgres/trainings.ts";
import { TrainerUnavailable, type Training } from "../src/trainers/trainer.ts";
import type { TrainingNote } from "../queues/jobs.ts";
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

/** A training of which it is known which one it is; whether the trainer's list shows it, where it was looked for there. */
interface Named extends Look {
  isListed: boolean | null;
}

/**
 * Finds out which training it is, where that is not known yet, and whether the trainer started several for the one request.
 * Null where there is none to be found.
 */
async function findOut(look: Look): Promise<Named | null> {
  const { dispatch, job, remote } = look;
  const isKnown = dispatch.externalId !== null || dispatch.statusUrl !== null || remote.tellsByItself;
  if (isKnown && job.note?.isCounted) return { ...look, isListed: null };
  const trainings = await find(look, isKnown);
  const counted = { ...look, job: { ...job, note: { ...noteOf(look), isCounted: true } } };
  const [training, ...others] = trainings;
  if (!training) return isKnown ? { ...counted, isListed: false } : null;
  const named = { ...counted, dispatch: await name(look, training, others, isKnown) };
  return { ...named, isListed: trainings.some(({ externalId }) => externalId === dispatch.externalId) };
}

/** The list may fail where the training itself can be asked for. */
async function find({ remote, dispatch }: Look, isKnown: boolean): Promise<Training[]> {
  try {
    return await remote.find(toAsked(dispatch));
  } catch (error) {
    if (isKnown && error instanceof TrainerUnavailable) return [];
    throw error;
  }
}

/** Writes down which training it is, and which are too many. */
async function name(
  look: Look,
  { externalId, url }: Training,
  others: Training[],
  isKnown: boolean,
): Promise<FollowedDispatch> {
  const { database, dispatch, job } = look;
  const extraRuns = others.map((other) => other.externalId);
  let found = dispatch;
  if (!isKnown || dispatch.state === "unknown") {
    found = { ...found, state: "sent", externalId, url, error: null };
    await database.recordProgress(job.runId, { ...unchanged(found), state: "sent" });
    look.say(`found: ${externalId} ${url ?? ""}`);
  }
  if (extraRuns.length > dispatch.extraRuns.length) {
    found = { ...found, externalId, url, extraRuns };
    await database.recordExtraRuns(job.runId, { externalId, url, extraRuns });
    await announceExtraRuns({ ...look, dispatch: found });
  }
  return found;
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
      return later(look, pollMs(look), heard());
    case "nothing_to_ask":
      return silence(look, "The trainer has not told the outcome", LONGEST_PAUSE_MS);
    case "gone":
      return silence(look, news.message);
    case "seen": {
      const { etag, status, conclusion, attempt } = news;
      const now = {
        ...look,
        job: { ...job, note: { ...noteOf(look), ...heard(), etag } },
      };
      if (status === dispatch.status && conclusion === dispatch.conclusion && attempt === dispatch.attempt)
        return later(now, pollMs(look));
      const state = stateOfTraining(status, conclusion);
      if (!isEnded(state)) return record(now, { ...unchanged(dispatch), ...news, state });
      // Runs of one request may come into the list one after the other, and late.
      const counted = await findOut(uncounted(now));
      // Asked without the ETag, or the end that is not written down yet would be no news the next time.
      if (counted === null || (counted.isListed === false && mayBeListedYet(look)))
        return later(now, pollMs(look), { etag: null });
      // The one that ended left because an older one trains: that one is the training.
      if (counted.dispatch.externalId !== externalId) return later(counted, 0, { etag: null });
      return record(counted, { ...unchanged(counted.dispatch), ...news, state });
    }
    default:
      return news satisfies never;
  }
}

/** Whether a list that does not show the training may still do so; one that tells by itself has no list. */
function mayBeListedYet({ remote, dispatch, patience }: Look): boolean {
  return !remote.tellsByItself && (dispatch.askedAgoMs ?? 0) < patience.searchMs;
}

function heard(): Pick<TrainingNote, "heardAt" | "silentSince" | "trouble"> {
  return { heardAt: Date.now(), silentSince: null, trouble: null };
}

function uncounted(look: Look): Look {
  return { ...look, job: { ...look.job, note: { ...noteOf(look), isCounted: false } } };
}

const LONGEST_PAUSE_MS = 600_000;

/** Nothing was heard. That is no news for a while, and after too long an end of its own. */
async function silence(look: Look, why: string, waitMs: number | null = null): Promise<TrainingStep> {
  const { patience, job, say } = look;
  const limitMs = patience.lostAfterSeconds * 1000;
  const note = noteOf(look);
  const [heardAgoMs, silentSince] = [Date.now() - note.heardAt, note.silentSince ?? Date.now()];
  // Whoever begins to look, after a day off maybe, does not take one failed look for the end.
  const isLost = heardAgoMs >= limitMs && Date.now() - silentSince >= Math.min(LONGEST_PAUSE_MS, limitMs / 4);
  if (isLost) return giveUp(look, `Nothing was heard of it for ${Math.round(heardAgoMs / 1000)} s. ${why}`);
  if (job.note?.trouble !== why) say(why);
  // Growing pauses, and a look when it is time to give it up.
  const pauseMs = Math.max(waitMs ?? 0, pollMs(look), Math.min(heardAgoMs / 4, LONGEST_PAUSE_MS));
  const toLimitMs = Math.max(limitMs - heardAgoMs, limitMs / 4) + 1_000;
  return later(look, Math.min(pauseMs, toLimitMs), { trouble: why, silentSince });
}

/** A training that was known is lost; of one that was never seen, a person must say whether it was started at all. */
async function giveUp(look: Look, error: string): Promise<TrainingStep> {
  const { dispatch, remote, job, notify, lookAgain } = look;
  if (dispatch.state === "unknown") {
    if (dispatch.keptOthersWaiting) await lookAgain(job.model);
    return { outcome: "ended", report: toReport(dispatch) };
  }
  if (dispatch.externalId !== null || remote.tellsByItself)
    return record(look, { ...unchanged(dispatch), state: "failed", conclusion: "lost", error });
  const step = await record(look, { ...unchanged(dispatch), state: "unknown", error });
  const text = announceUnknown({ ...dispatch, model: job.model, state: "unknown", error });
  const { decisionId } = dispatch;
  await notify({ kind: "dispatch_unknown", model: job.model, runId: job.runId, decisionId, text }, "-unseen");
  return step;
}
