import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PolicyWorld } from "../../support/policies.ts";
import { createStandings, type StandingModel } from "../../support/standings.ts";

let world: PolicyWorld;
let address: string;
beforeAll(async () => {
  ({ world, address } = await createStandings());
});
afterAll(() => world.close());

async function read(path: string): Promise<string> {
  const response = await fetch(address + path);
  expect(response.status, path).toBe(200);
  return response.text();
}

/** What the panel at the top of a page says. */
function answerOf(html: string): { label: string; sentence: string; flip: string | null } {
  const panel = /<section id="answer"[^>]*>(.*?)<\/section>/s.exec(html)?.[1] ?? "";
  const text = (part: string): string =>
    part
      .replaceAll(/<[^>]+>/g, "")
      .replaceAll("&amp;", "&")
      .trim();
  return {
    label: text(/class="badge[^>]*>.*?<\/span>(.*?)<\/span>/s.exec(panel)?.[1] ?? ""),
    sentence: text(/class="sentence">(.*?)<\/p>/s.exec(panel)?.[1] ?? ""),
    flip: text(/class="flip">(.*?)<\/p>/s.exec(panel)?.[1] ?? "") || null,
  };
}

const DRIFT = "drift in rating_ks (0.0975, threshold 0.05)";

/** What somebody who has never seen Retrigger can say within ten seconds: why, and what would change it. */
const ANSWERS: readonly [StandingModel, label: string, why: string, change: string | null][] = [
  ["triggered", "Triggered", `by decision #\\d+: ${DRIFT} and 20 events.`, "1 more alert"],
  ["short", "Not due", "Not retraining: 6 events short.", "6 more events"],
  ["quiet", "Not due", "Not retraining: no drift.", "1 more alert"],
  [
    "unchecked",
    "Not due",
    "Not retraining: no drift check in the last 7 days; drift is unknown.",
    "1 more alert",
  ],
  ["answered", "Held", "Not retraining: decision #\\d+ already acted on this drift.", "1 more alert"],
  [
    "cooling",
    "Held",
    "Not retraining: cooling down until \\d+-\\d+-\\d+ \\d+:\\d+ (in 7 days), despite drift in rating_ks (0.11, threshold 0.05) and 20 events.",
    "cooldown ends",
  ],
  [
    "snoozed",
    "Snoozed",
    "Not retraining: snoozed until \\d+-\\d+-\\d+ \\d+:\\d+ (in 3 h) by Ada (the release is frozen)",
    "snooze ends",
  ],
  [
    "approving",
    "Awaiting approval",
    `Not retraining yet: a person must approve the training, despite ${DRIFT} and 20 events.`,
    "your approval, below",
  ],
  [
    "training",
    "Training",
    "The training of decision #\\d+ has been running for \\d+ s (trainer: command).",
    "1 more alert",
  ],
  [
    "failed",
    "Training failed",
    "Not retraining: the training of decision #\\d+ failed; the next may start at \\d+-\\d+-\\d+ \\d+:\\d+ (in 60 min)",
    "retry backoff ends",
  ],
  [
    "unknown",
    "Training unknown",
    "It is unknown whether the training of decision #\\d+ started",
    "confirm the training or resend the request",
  ],
  [
    "silent",
    "Drift runs missing",
    "Drift runs are missing: one is expected every 1h, the last sign of one came 3 h ago.",
    "1 more alert",
  ],
  [
    "ready",
    "Would trigger now",
    "Would be retrained now: drift in rating_ks (0.11, threshold 0.05) and 20 events.",
    null,
  ],
];

describe("the page of a model answers why it is or is not retrained, and what would change that", () => {
  it.each(ANSWERS)("%s: %s", async (model, label, why, change) => {
    const answer = answerOf(await read(`/models/${model}`));
    expect(answer.label).toBe(label);
    expect(answer.sentence).toMatch(toPattern(why));
    if (change === null) expect(answer.flip).toBeNull();
    else expect(answer.flip).toContain(change);
  });

  it("and while the sources cannot be read, by its latest decision, which is not taken for the present", async () => {
    await world.sql("ALTER TABLE monitoring.drift_log RENAME TO elsewhere");
    for (const model of ["triggered", "training", "short", "cooling"] as const) {
      const html = await read(`/models/${model}`);
      const { label, sentence } = answerOf(html);
      const [, expected] = ANSWERS.find(([name]) => name === model) ?? [];
      expect([model, label]).toEqual([model, expected]);
      expect(sentence).not.toContain("would be retrained now");
      expect(html).toContain("What follows is as of the latest decision.");
    }
    await world.sql("ALTER TABLE monitoring.elsewhere RENAME TO drift_log");
  });

  it("and the overview lists those that need a person first", async () => {
    const html = await read("/");
    const rows = [...html.matchAll(/<th scope="row"><a href="\/models\/(\w+)"/g)].map(([, model]) => model);
    expect(rows).toHaveLength(ANSWERS.length);
    expect(new Set(rows.slice(0, 4))).toEqual(new Set(["unknown", "approving", "failed", "silent"]));
    expect(html).toContain("13 models. 4 need a person.");
    expect(html).toContain("<title>(4) Overview · Retrigger</title>");
  });

  it("and the page of its decision says so of the past", async () => {
    const decisions = await world.sql<{ id: number; model: string }>(
      "SELECT max(id) AS id, model FROM retraining_decisions GROUP BY model",
    );
    for (const { id, model } of decisions) {
      const { sentence } = answerOf(await read(`/decisions/${id}`));
      const isTrigger = ["triggered", "training", "unknown"].includes(model);
      expect(sentence, model).toMatch(isTrigger ? /^Retraining was triggered: / : /^Not retrained: /);
    }
  });
});

/** A text in which only `\\d+` is a pattern. */
function toPattern(text: string): RegExp {
  return new RegExp(text.replaceAll(/[.()]/g, String.raw`\$&`));
}
