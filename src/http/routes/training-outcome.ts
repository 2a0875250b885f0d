import { Router } from "express";
import { z } from "zod";
import { resumeTraining } from "../../../queues/training.ts";
import type { LiveConfig } from "../../config/live-config.ts";
import type { DispatchRecord } from "../../postgres/dispatches.ts";
import { settingsOf } from "../../trainers/trainer.ts";
import { Outcome, outcomePath, toStatus } from "../../trainers/webhook/outcome.ts";
import { webhookTrainer } from "../../trainers/webhook/webhook.ts";
import { applyInput } from "../../use-cases/settle-dispatch.ts";
import type { Route } from "../route.ts";
import { RequestError } from "../request-error.ts";
import { bySignature, parseBody, readBody, requireSigned } from "../signed-body.ts";

/** Records the outcome of a training that the receiver of the webhook trainer reports. */
export const trainingOutcome: Route = {
  doors: [{ method: "POST", path: outcomePath(":runId"), role: "signed" }],
  requires: ["postgres", "redis writes"],
  create({ config, live, database, queues }) {
    const router = Router();
    router.post(outcomePath(":runId"), readBody, async (request, response) => {
      const { runId } = RunAddress.parse(request.params);
      const dispatch = RunId.safeParse(runId).success ? await database.readDispatch(runId) : null;
      const body = requireSigned(request, listSecrets(live, dispatch), bySignature);
      const { decision_id: namedRunId, ...outcome } = parseBody(SignedOutcome, body);
      // Only the body is signed: without this check, an outcome could be replayed to another training.
      if (namedRunId !== runId) throw new RequestError(400, "decision_id does not match the URL");
      if (!dispatch) throw new RequestError(404, `No training has the id ${runId}`);
      const input = { kind: "reported", ...toStatus(outcome) } as const;
      const isNew = await applyInput(config, database, dispatch, input);
      await resumeTraining(queues, dispatch);
      response.json({ recorded: isNew });
    });
    return router;
  },
};

const RunId = z.uuid();
const RunAddress = z.object({ runId: z.string() });
const SignedOutcome = Outcome.extend({ decision_id: RunId });

/**
 * The secrets that may sign an outcome: for a training, only that of its model, so that the receiver of one model cannot end
 * the trainings of another. For an unknown training any, because only a receiver of ours may learn that it is unknown.
 */
function listSecrets(live: LiveConfig, dispatch: DispatchRecord | null): (string | undefined)[] {
  if (dispatch !== null && dispatch.trainer !== webhookTrainer.name) return [];
  const trainers = dispatch === null ? live.listAllTrainers() : live.listTrainers(dispatch.model);
  return trainers.map((trainer) => settingsOf(trainer, webhookTrainer)?.secret);
}
