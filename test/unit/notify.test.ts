import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDelivery } from "../../workers/notify.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

function deliver(target: "slack" | "webhook", text: string) {
  const settings = {
    slackUrl: `${receiver.url}/services/T0/B0`,
    webhookUrl: `${receiver.url}/hook`,
    webhookSecret: "a secret of the webhook",
  };
  const notification = { kind: "chain_failed", model: "default", runId: "run", decisionId: null, text };
  const job = { target, time: new Date().toISOString(), notification };
  return createDelivery(settings, (given) => given)(job, "job-1");
}

describe("a notification", () => {
  it.each(["slack", "webhook"] as const)(
    "is not sent on if %s redirects; the error names the target without its query",
    async (target) => {
      receiver.respond = (_, response) =>
        response.writeHead(307, { location: `${receiver.url}/elsewhere?token=0815-4711` }).end();
      await expect(deliver(target, "text")).rejects.toThrow(
        `${target} responded with status 307: it redirects to ${receiver.url}/elsewhere, and redirects are not followed`,
      );
      await expect(deliver(target, "text")).rejects.not.toThrow("0815-4711");
      expect(receiver.received.map(({ path }) => path)).not.toContain("/elsewhere?token=0815-4711");
    },
  );
});
