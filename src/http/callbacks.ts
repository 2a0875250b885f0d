import type { Queue } from "bullmq";
import express, { Router, type Request, type Response } from "express";
import { z } from "zod";
import { TRAINING } from "../../queues/names.ts";
import { wakeJob } from "../../queues/training.ts";
import type { Config } from "../config.ts";
import { stateOfTraining } from "../core/training.ts";
import type { Logger } from "../logger.ts";
import { isSigned, SIGNATURE_HEADER } from "../outgoing/signature.ts";
import type { Database } from "../postgres/database.ts";
import { Outcome, outcomePath, toStatus } from "../trainers/webhook.ts";

export const CALLBACK_PATHS = ["/api/v1/github", "/api/v1/trainings"];

export interface CallbackDependencies {
  config: Pick<Config, "githubWebhookSecret" | "trainer">;
  database: Pick<Database, "findTraining" | "recordProgress" | "readDispatch">;
  queues: Queue[];
  log: Logger;
}

/** What others tell us of trainings. Each is signed; none is taken for more than it says. */
export function createCallbacks(dependencies: CallbackDependencies): Router {
  const { config, database, queues, log } = dependencies;
  const queueOf = (name: string) => queues.find((queue) => queue.name === name);
  // A person may have to look at it, so that the chain's own stage is woken too.
  const wake = async (runId: string): Promise<void> => {
    for (const name of ["act", TRAINING]) {
      const queue = queueOf(name);
      // The act stage is of interest only while it waits.
      if (queue && (name === TRAINING || (await queue.getJobState(runId)) === "delayed")) await wakeJob(queue, runId);
    }
  };
  const router = Router();
  // The signature is that of the very bytes.
  const readBody = express.text({ type: () => true, limit: "1mb" });

  /** GitHub's `workflow_run` events: a reason to look, and nothing more, as they may be late, lost or out of order. */
  router.post("/api/v1/github/webhook", readBody, async (request, response) => {
    const body = await readSigned(request, response, config.githubWebhookSecret, "X-Hub-Signature-256");
    if (body === null) return;
    const event = request.get("X-GitHub-Event");
    if (event !== "workflow_run") return void response.status(202).json({ ignored: event ?? "no event" });
    const parsed = WorkflowRunEvent.safeParse(parseJson(body));
    if (!parsed.success) return void response.status(400).json({ error: z.prettifyError(parsed.error) });
    const { id, display_title: title } = parsed.data.workflow_run;
    const key = /^Retrain ([0-9a-f-]{36})$/.exec(title ?? "")?.[1] ?? null;
    const runId = await database.findTraining({ externalId: id, key });
    // GitHub gives up after ten seconds; it waits for no look.
    response.status(202).json(runId === null ? { ignored: "not one of our trainings" } : { runId });
    if (runId === null) return;
    await wake(runId).catch((error: unknown) => log.warn({ err: error, runId }, "training not woken; it is looked at later"));
  });

  /** The outcome of a training, as the receiver of the webhook trainer tells it. */
  router.post(outcomePath(":runId"), readBody, async (request, response) => {
    const secret = config.trainer.name === "webhook" ? config.trainer.webhook.secret : null;
    const body = await readSigned(request, response, secret, SIGNATURE_HEADER);
    if (body === null) return;
    const parsed = SignedOutcome.safeParse(parseJson(body));
    if (!parsed.success) return void response.status(400).json({ error: z.prettifyError(parsed.error) });
    const { decision_id: runId, ...outcome } = parsed.data;
    // The body is what is signed: without this, an outcome could be sent on to another training.
    if (runId !== request.params["runId"])
      return void response.status(400).json({ error: "decision_id is not that of the address" });
    if (!(await database.readDispatch(runId)))
      return void response.status(404).json({ error: `There is no training ${runId}` });
    const status = toStatus(outcome);
    const state = stateOfTraining(status.status, status.conclusion);
    const isNews = await database.recordProgress(runId, { ...status, state, externalId: null, error: null });
    await wake(runId);
    response.json({ recorded: isNews });
  });
  return router;
}

const WorkflowRunEvent = z.object({
  workflow_run: z.object({
    id: z.union([z.number(), z.string()]).transform(String),
    display_title: z.string().nullish(),
  }),
});

const SignedOutcome = Outcome.extend({ decision_id: z.uuid() });

/** The body, if it is signed with the secret; null where it is not, which is answered then. */
async function readSigned(
  request: Request,
  response: Response,
  secret: string | null,
  header: string,
): Promise<string | null> {
  if (secret === null) {
    response.status(404).json({ error: "Nobody is listening here: the settings name no secret for it" });
    return null;
  }
  const body: unknown = request.body;
  if (typeof body === "string" && (await isSigned(secret, body, request.get(header)))) return body;
  response.status(401).json({ error: `${header} is missing or wrong` });
  return null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
