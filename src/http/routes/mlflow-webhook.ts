import { Router } from "express";
import { RegistryEvent } from "../../core/outcome/registry-event.ts";
import { deliveryIdOf } from "../../outgoing/mlflow-signature.ts";
import type { Database } from "../../postgres/database.ts";
import { type RegistryReply, takeRegistryEvent } from "../../use-cases/take-registry-event.ts";
import { RequestError } from "../request-error.ts";
import type { Route } from "../route.ts";
import { byMlflowSignature, parseBody, readBody, requireSigned } from "../signed-body.ts";

const PATH = "/api/v1/mlflow/webhook";

/** Events of MLflow's model registry: they say which version a training made, and which one was promoted. */
export const mlflowWebhook: Route = {
  doors: [{ method: "POST", path: PATH, role: "signed" }],
  requires: ["postgres"],
  create({ config, live, database, log }) {
    const router = Router();
    router.post(PATH, readBody, async (request, response) => {
      const body = requireSigned(request, [config.mlflowSecret], byMlflowSignature);
      const event = parseBody(RegistryEvent, body);
      const deliveryId = deliveryIdOf((name) => request.get(name));
      const reply = await takeOnce(database, deliveryId, body, () =>
        takeRegistryEvent(database, live.models(), event),
      );
      const what = { event: `${event.entity}.${event.action}`, ...reply };
      log.info(what, "ignored" in reply ? "MLflow's event was ignored" : "MLflow's event was taken");
      response.status(202).json(reply);
    });
    return router;
  },
};

/** Takes a delivery once: recorded on its way and sent again later, an older tag would replace a newer one. */
async function takeOnce(
  database: Pick<Database, "beginRequest" | "finishRequest">,
  id: string,
  body: string,
  take: () => Promise<RegistryReply>,
): Promise<RegistryReply> {
  const known = await database.beginRequest("mlflow", id, body);
  switch (known.kind) {
    case "repeated":
      return { ignored: `The delivery ${id} was taken before` };
    case "different":
      throw new RequestError(400, `The delivery ${id} was sent before with another body`);
    case "under way":
      throw new RequestError(503, `The delivery ${id} is under way. Send it again later`, "UNDER_WAY");
    case "new":
    // What an event does can be done twice.
    case "interrupted":
      break;
    default:
      return known satisfies never;
  }
  try {
    const reply = await take();
    await database.finishRequest("mlflow", id, { status: 202, headers: {}, body: JSON.stringify(reply) });
    return reply;
  } catch (error) {
    await database.finishRequest("mlflow", id, null).catch(() => {});
    throw error;
  }
}
