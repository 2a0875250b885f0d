import { Router } from "express";
import { z } from "zod";
import { wakeTraining } from "../../../queues/training.ts";
import type { Database } from "../../postgres/database.ts";
import { githubTrainer } from "../../trainers/github/github.ts";
import { settingsOf } from "../../trainers/trainer.ts";
import type { Route } from "../route.ts";
import { byGitHubSignature, parseBody, readBody, requireSigned } from "../signed-body.ts";

/**
 * GitHub's `workflow_run` events. Each is only a hint to poll the training now, because events may be late, lost or out of
 * order.
 */
export const githubWebhook: Route = {
  doors: [{ method: "POST", path: "/api/v1/github/webhook", role: "signed" }],
  requires: ["postgres", "redis writes"],
  create({ live, database, queues, log }) {
    const router = Router();
    router.post("/api/v1/github/webhook", readBody, async (request, response) => {
      // Any secret will do: a forged hint costs no more than a poll.
      const secrets = live
        .listAllTrainers()
        .map((trainer) => settingsOf(trainer, githubTrainer)?.webhookSecret);
      const body = requireSigned(request, secrets, byGitHubSignature);
      const event = request.get("X-GitHub-Event") ?? "no event";
      const runId =
        event === "workflow_run" ? await findRun(database, parseBody(WorkflowRunEvent, body)) : null;
      // GitHub gives up after ten seconds, so respond before the poll.
      response.status(202).json(runId === null ? { ignored: event } : { runId });
      if (runId === null) return;
      await wakeTraining(queues, runId).catch((error: unknown) =>
        log.warn({ err: error, runId }, "could not wake the training's job; it will poll later"),
      );
    });
    return router;
  },
};

const WorkflowRunEvent = z.object({
  workflow_run: z.object({
    id: z.union([z.number(), z.string()]).transform(String),
    display_title: z.string().nullish(),
  }),
});

function findRun(
  database: Pick<Database, "findTraining">,
  { workflow_run: run }: z.infer<typeof WorkflowRunEvent>,
): Promise<string | null> {
  const key = /^Retrain ([0-9a-f-]{36})$/.exec(run.display_title ?? "")?.[1] ?? null;
  return database.findTraining({ externalId: run.id, key });
}
