import { Router } from "express";
import { z } from "zod";
import { resumeTraining } from "../../../queues/training.ts";
import { SIGNATURE_HEADER } from "../../outgoing/signature.ts";
import { settingsOf } from "../../trainers/trainer.ts";
import { Outcome, outcomePath, toStatus } from "../../trainers/webhook/outcome.ts";
import { webhookTrainer } from "../../trainers/webhook/webhook.ts";
import { applyInput } from "../../use-cases/settle-dispatch.ts";
import type { Route } from "../route.ts";
import { parseBody, readBody, RequestError, requireSigned } from "../signed-body.ts";

/** Records the outcome of a training that the receiver of the webhook trainer reports. */
export const trainingOutcome: Route = {
  paths: ["/api/v1/trainings"],
  requires: ["postgres", "redis writes"],
  create({ config, database, queues }) {
    const router = Router();
    router.post(outcomePath(":runId"), readBody, async (request, response) => {
      const secret = settingsOf(config.trainer, webhookTrainer)?.secret;
      const body = await requireSigned(request, secret, SIGNATURE_HEADER);
      const { decision_id: runId, ...outcome } = parseBody(SignedOutcome, body);
      // Only the body is signed: without this check, an outcome could be replayed to another training.
      if (runId !== request.params["runId"])
        throw new RequestError(400, "decision_id does not match the URL");
      const dispatch = await database.readDispatch(runId);
      if (!dispatch) throw new RequestError(404, `No training has the id ${runId}`);
      const input = { kind: "reported", ...toStatus(outcome) } as const;
      const isNew = await applyInput(config, database, dispatch, input);
      await resumeTraining(queues, dispatch);
      response.json({ recorded: isNew });
    });
    return router;
  },
};

const SignedOutcome = Outcome.extend({ decision_id: z.uuid() });
