import { HttpRequest, type TrainingOrder } from "../../core/dispatch/request.ts";
import { showUrl } from "../../outgoing/redirect.ts";
import { SIGNATURE_HEADER, TIMESTAMP_HEADER } from "../../outgoing/signature.ts";
import { outcomePath } from "./outcome.ts";
import type { WebhookSettings } from "./settings.ts";

/** Renders a CloudEvent 1.0 in structured mode: the body is the whole event, so that one signature covers it. */
export function renderWebhookRequest(
  { url, publicUrl, outcome }: WebhookSettings,
  order: TrainingOrder,
): HttpRequest {
  return {
    kind: "http",
    method: "POST",
    url: showUrl(new URL(url)),
    headers: {
      "Content-Type": "application/cloudevents+json; charset=utf-8",
      "Idempotency-Key": order.runId,
      [TIMESTAMP_HEADER]: "UNIX_SECONDS",
      [SIGNATURE_HEADER]: "sha256=HMAC(TRAINER_SECRET)",
    },
    body: {
      specversion: "1.0",
      id: order.runId,
      source: "/retrigger",
      type: "retrigger.training.requested",
      subject: order.model,
      datacontenttype: "application/json",
      data: {
        reason: order.reason,
        drift_score: order.driftScore,
        buffer_size: order.bufferSize,
        decision_id: order.runId,
        model: order.model,
        ...(publicUrl === undefined || outcome !== "callback"
          ? {}
          : { outcome_url: `${publicUrl}${outcomePath(order.runId)}` }),
      },
    },
  };
}
