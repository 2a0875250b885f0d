import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  announceApproval,
  announceEnd,
  announceFailedChain,
  announceTrigger,
} from "../../src/core/report/announce.ts";
import { createDelivery } from "../../workers/notify.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

function deliver(
  target: "slack" | "webhook",
  text: string,
  { decisionId = null, publicUrl }: { decisionId?: number | null; publicUrl?: string } = {},
) {
  const settings = {
    publicUrl,
    slackUrl: `${receiver.url}/services/T0/B0`,
    webhookUrl: `${receiver.url}/hook`,
    webhookSecret: "a secret of the webhook",
  };
  const notification = { kind: "chain_failed", model: "default", runId: "run", decisionId, text };
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

  it("leads to the page of its decision, or of its model, if the settings say where people reach the pages", async () => {
    const publicUrl = "https://retrigger.example/";
    await deliver("slack", "text", { publicUrl, decisionId: 7 });
    await deliver("slack", "text", { publicUrl });
    await deliver("webhook", "text", { publicUrl, decisionId: 7 });
    await deliver("webhook", "text", { decisionId: 7 });
    const bodies = receiver.received.map(
      ({ body }) => JSON.parse(body) as { text?: string; data?: { page?: string } },
    );
    expect(bodies.map(({ text, data }) => text ?? data?.page)).toEqual([
      "text\nhttps://retrigger.example/decisions/7",
      "text\nhttps://retrigger.example/models/default",
      "https://retrigger.example/decisions/7",
      undefined,
    ]);
  });

  it("reaches Slack without commands and links, whatever a feature, a reason or an error is called", async () => {
    const dispatch = {
      model: "films <!here>",
      decisionId: 1,
      trainer: "webhook",
      state: "rejected" as const,
      url: "https://jobs.example/1",
      error: "<https://evil.example|Click> & <!channel>",
    };
    const texts = [
      announceTrigger(dispatch, { driftScore: 1, feature: "ks <!channel>", bufferSize: 1 }),
      announceEnd(dispatch, { conclusion: "<!everyone>", durationSeconds: 1, alertsBackAt: null }),
      announceApproval(dispatch, { until: "2026-01-01T00:00:00Z", reason: "<@U0815> <!subteam^S1>" }),
      announceFailedChain("films", "gather", "run", "no such column <!channel>"),
    ];
    for (const text of texts) {
      await deliver("slack", text);
      const sent = JSON.parse(receiver.received.at(-1)?.body ?? "") as { text: string };
      expect(sent.text).not.toMatch(/[<>]/);
      expect(sent.text).toContain("&lt;");
      // Only the text has been escaped, and all of it.
      expect(sent.text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")).toBe(
        `${text}\nMore: npx retrigger history --model default`,
      );
    }
  });
});
