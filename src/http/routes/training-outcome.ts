import { Router } from "express";
import { z } from "zod";
import { TRAINING } from "../../../queues/names.ts";
import { followTraining, wakeTraining } from "../../../queues/training.ts";
import { advance } from "../../core/dispatch/advance.ts";
import { toDispatchLimits } from "../../core/dispatch/transition.ts";
import { SIGNATURE_HEADER } from "../../outgoing/signature.ts";
import { clockOf } from "../../postgres/dispatches.ts";
import { settingsOf } from "../../trainers/trainer.ts";
import { Outcome, outcomePath, toStatus } from "../../trainers/webhook/outcome.ts";
import { webhookTrainer } from "../../trainers/webhook/webhook.ts";
import type { Route } from "../route.ts";
import { parseBody, readBody, RequestError, requireSigned } from "../signed-body.ts";

/** Records the outcome of a training that the receiver of the webhook trainer reports. */
export const trainingOutcome: Route = {
  paths: ["/api/v1/trainings"],
  requires: ["redis writes"],
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
      const { patch } = await database.updateDispatch(dispatch, (current) =>
        advance(
          current.dispatch,
          { kind: "reported", ...toStatus(outcome) },
          {
            now: clockOf(current),
            limits: toDispatchLimits(config.timing),
            trainer: { followsById: false, reportsOutcomes: true, runsHere: false },
          },
        ),
      );
      await wakeTraining(queues, runId);
      // If its job was removed, a new one announces the end.
      const training = queues.find(({ name }) => name === TRAINING);
      if (training && (await training.getJobState(runId)) === "unknown")
        await followTraining(training, { runId, model: dispatch.model }, 0);
      response.json({ recorded: Object.keys(patch).length > 0 });
    });
    return router;
  },
};

const SignedOutcome = Outcome.extend({ decision_id: z.uuid() });
