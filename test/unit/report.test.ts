import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CANCELLATIONS } from "../../src/core/dispatch/dispatch.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import type { Policy } from "../../src/core/policy.ts";
import type { ReportInput } from "../../src/core/report/input.ts";
import { renderReport } from "../../src/core/report/report.ts";
import { Superseded } from "../../src/core/superseded.ts";
import { renderGitHubRequest } from "../../src/trainers/github/request.ts";
import { evidenceOf, GUIDE_POLICY, guideEvidence, guidePolicy } from "../support/evidence.ts";

const RUN_ID = "0193f2c0-0000-7000-8000-000000000001";
const TARGET = {
  apiUrl: "https://api.github.com",
  owner: "YOUR_USER",
  repo: "cinematch",
  workflow: "model_training.yml",
  ref: "main",
  apiVersion: "2026-03-10",
  inputNames: {
    reason: "reason",
    drift_score: "drift_score",
    buffer_size: "buffer_size",
    decision_id: "decision_id",
  },
  extraInputs: {},
};
const DISPATCH = {
  state: "sent",
  reason: null,
  externalId: null,
  url: null,
  error: null,
  askedAt: null,
} as const;

function report(
  evidence: Evidence,
  policy: Policy = GUIDE_POLICY,
  changes: Partial<ReportInput> = {},
): string {
  const verdict = evaluate(evidence, policy);
  const isTrigger = verdict.decision === "trigger";
  const order = {
    runId: RUN_ID,
    model: "default",
    reason: verdict.reason,
    driftScore: verdict.driftScore,
    bufferSize: evidence.buffer.size,
  };
  return renderReport({
    model: "default",
    runId: RUN_ID,
    evidence,
    policy,
    settingNames: { bufferSize: "MIN_BUFFER_SIZE" },
    verdict,
    request: isTrigger ? renderGitHubRequest(TARGET, order) : null,
    recorded: {
      id: 3,
      decidedAt: "2025-12-21T15:30:00Z",
      decision: isTrigger ? "trigger_mock" : "no_action",
      bufferSize: evidence.buffer.size,
      driftScore: verdict.driftScore,
      nextLookAt: verdict.nextLookAt,
    },
    dispatch: isTrigger ? { trainer: "mock", ...DISPATCH } : null,
    superseded: null,
    page: null,
    timeZone: "UTC",
    ...changes,
  });
}

/** The guide's output examples, one block of lines each. */
function guideLines(name: string): string[] {
  const text = readFileSync(new URL(`../fixtures/${name}.txt`, import.meta.url), "utf8");
  return text.split("\n").filter((line) => line.trim() !== "");
}

describe("the report", () => {
  it("holds every line of the guide's example of a trigger, in the guide's order", () => {
    const lines = report(guideEvidence()).split("\n");
    let from = 0;
    for (const line of guideLines("guide-trigger")) {
      const at = lines.indexOf(line, from);
      expect(at, `the report lacks, or has too early: ${line}`).toBeGreaterThanOrEqual(from);
      from = at + 1;
    }
  });

  it("holds every line of the guide's example of no action", () => {
    const lines = report(evidenceOf({ checks: 3, triggered: 0, ratings: 35_000 })).split("\n");
    for (const line of guideLines("guide-no-action")) expect(lines).toContain(line);
  });

  it("says by how much each criterion failed", () => {
    const text = report(
      evidenceOf({ checks: 0, triggered: 0, ratings: 30_000 }),
      guidePolicy({ minAlertsTriggered: 2 }),
    );
    expect(text).toContain("Recent drift checks: none in the last 168 hours, at least 1 required");
    expect(text).toContain("Drift alerts: 0 triggered, 2 required (2 short)");
    expect(text).toContain("Buffer size: 30,000 ratings, 50,000 required (20,000 short)");
    expect(text).toContain("Run drift_monitoring first");
    expect(text).toContain("FINAL STATUS: NO ACTION - CONTINUE MONITORING");
  });

  it("names the setting to lower if ratings are missing", () => {
    const evidence = evidenceOf({ checks: 3, triggered: 1, ratings: 30_000 });
    expect(report(evidence)).toContain("   • Ingest more batches or lower MIN_BUFFER_SIZE\n");
    const bufferSize = "models.films.policy.when.all[2].bufferSize in models.yaml";
    expect(report(evidence, GUIDE_POLICY, { settingNames: { bufferSize } })).toContain(
      `   • Ingest more batches or lower ${bufferSize}\n`,
    );
  });

  it("names the decision that acted on the alert", () => {
    const evidence = evidenceOf({ checks: 3, triggered: 1, unanswered: 0, ratings: 700_000 });
    evidence.alerts.answeredBy = [{ decisionId: 41, decidedAt: "2025-12-21T15:30:00Z", alerts: 1 }];
    expect(report(evidence)).toContain("by decision #41");
  });

  it.each([
    [0.0975, 0.05, "Score 0.0975 > Threshold 0.0500"],
    [0.01, 0.05, "flagged by the monitor (Score 0.0100, Threshold 0.0500)"],
    [0.05, 0.05, "flagged by the monitor (Score 0.0500, Threshold 0.0500)"],
    [0.05002, 0.05001, "Score 0.05002 > Threshold 0.05001"],
    [null, 0.05, "flagged by the monitor (Score N/A, Threshold 0.0500)"],
    [0.2, null, "flagged by the monitor (Score 0.2000, Threshold N/A)"],
    [null, null, "flagged by the monitor (Score N/A, Threshold N/A)"],
  ])("explains an alert with score %s and threshold %s by: %s", (score, threshold, explanation) => {
    const evidence = guideEvidence();
    const [alert] = evidence.checks.newestTriggered;
    if (!alert) throw new Error("The guide's evidence has no alert");
    evidence.checks.newestTriggered = [{ ...alert, score, threshold }];
    expect(report(evidence)).toContain(`   • rating_distribution_ks: ${explanation}\n`);
  });

  it("shows missing values as missing", () => {
    const evidence = guideEvidence();
    Object.assign(evidence.checks.newest[0] ?? {}, { score: null, threshold: null, feature: null });
    evidence.checks.newestTriggered = evidence.checks.newest.slice(0, 1);
    evidence.buffer.batches = [{ batch: null, ratings: 700_000, earliestRating: null, latestRating: null }];
    const text = report(evidence);
    expect(text).toContain("(no feature name)       | Score: N/A | Threshold: N/A | 🚨 TRIGGERED");
    expect(text).toContain("(no batch id): 700,000 ratings");
    expect(text).toContain("drift_score: NaN");
  });

  it("says which decision to approve, and that a rejection holds", () => {
    const evidence: Evidence = { ...guideEvidence(), isGuide: false };
    const policy: Policy = {
      ...GUIDE_POLICY,
      guards: { ...GUIDE_POLICY.guards, approval: { expires: "1d" } },
    };
    const text = report(evidence, policy);
    expect(text).toContain("DECISION: AN APPROVAL IS NEEDED");
    expect(text).toContain("Approval: requested by this decision; the request expires after 1d");
    expect(text).toContain("npx retrigger approve 3 --by NAME");
    expect(text).toContain("FINAL STATUS: NO ACTION - WAITING FOR AN APPROVAL");
    const request = {
      decisionId: 2,
      state: "rejected" as const,
      requestedAt: "2025-12-21T15:00:00Z",
      expiresAt: "2025-12-22T15:00:00Z",
      answeredAt: "2025-12-21T15:10:00Z",
      by: "Ada",
      reason: "a promotion",
    };
    const rejected = report(
      { ...evidence, interventions: { ...evidence.interventions, approval: request } },
      policy,
    );
    expect(rejected).toContain("rejected by Ada (a promotion); requested again after 2025-12-22 15:10 UTC");
    expect(rejected).toContain("DECISION: DRIFT DETECTED, BUT WAITING");
    expect(rejected).not.toContain("npx retrigger approve");
    const open = { ...request, state: "open" as const, answeredAt: null, by: null, reason: null };
    expect(
      report({ ...evidence, interventions: { ...evidence.interventions, approval: open } }, policy),
    ).toContain("npx retrigger approve 2 --by NAME");
  });

  it("does not call every criterion met if one of several was enough", () => {
    const any = [{ driftAlerts: { atLeast: 1, within: "7d" } }, { bufferSize: { atLeast: 1_000_000 } }];
    const text = report({ ...guideEvidence(), isGuide: false }, { ...GUIDE_POLICY, when: { any } });
    expect(text).toContain("✅ The condition of the policy is met:");
    expect(text).toContain("The mock trainer sends nothing.");
    expect(text).not.toMatch(/All criteria met|teammate|In production/);
  });

  it("lists no batches of a table that has none", () => {
    const evidence: Evidence = { ...guideEvidence(), isGuide: false };
    const [batch] = evidence.buffer.batches;
    if (!batch) throw new Error("The guide's evidence has no batch");
    const buffer = {
      ...evidence.buffer,
      unit: "events",
      batchCount: 1,
      batches: [{ ...batch, batch: null }],
    };
    const text = report({ ...evidence, buffer });
    expect(text).toContain("   From 2025-10-09");
    expect(text).not.toContain("Buffer Batches");
  });

  it("distinguishes a dry run and a superseded run from a recorded decision", () => {
    expect(report(guideEvidence(), GUIDE_POLICY, { recorded: null })).toContain("DRY RUN");
    const supersededBecause = (because: Superseded) =>
      report(guideEvidence(), GUIDE_POLICY, {
        recorded: null,
        superseded: { by: RUN_ID, because },
        request: null,
      });
    for (const text of Superseded.options.map(supersededBecause)) {
      expect(text).toContain(`FINAL STATUS: SUPERSEDED - RUN ${RUN_ID} RE-EVALUATES`);
      expect(text).not.toContain("Decision logged");
    }
    expect(supersededBecause("stale_evidence")).toContain("too old to act on");
    expect(supersededBecause("training_ended")).toContain("the training that blocked it has ended");
  });

  it.each([
    ["sent", "RETRAINING TRIGGERED", "✅ Training requested (sent): 42 https://github.com/x"],
    ["unknown", "RETRAINING UNKNOWN - CHECK THE TRAINER", "npx retrigger dispatch confirm 3 <run>"],
    ["unknown", "RETRAINING UNKNOWN - CHECK THE TRAINER", "npx retrigger dispatch resend 3"],
    ["rejected", "RETRAINING REJECTED - FIX AND RETRY", "npx retrigger dispatch retry 3"],
    [
      "cancelled",
      "RETRAINING NOT REQUESTED - A FOLLOW-UP RE-EVALUATES",
      "A follow-up re-evaluates",
      "evidence_too_old",
    ],
    ["cancelled", "RETRAINING CANCELLED", "❌ The training was cancelled"],
    ["failed", "RETRAINING FAILED", "❌ Training requested (failed): 42"],
  ] as const)(
    "shows the state of a request to a real trainer: %s",
    (state, status, line, reason: "evidence_too_old" | null = null) => {
      const error = reason === null ? "because" : CANCELLATIONS[reason];
      const dispatch = {
        trainer: "github",
        state,
        reason,
        externalId: "42",
        url: "https://github.com/x",
        error,
        askedAt: null,
      };
      const text = report(guideEvidence(), GUIDE_POLICY, { dispatch });
      expect(text).toContain(`FINAL STATUS: ${status}`);
      expect(text).toContain(line);
      if (state === "unknown" || state === "rejected") expect(text).toContain("   because");
      expect(text).not.toContain("MOCK");
    },
  );

  it("is no wider than the guide's own widest line, except for URLs", () => {
    const widest = Math.max(...guideLines("guide-trigger").map(({ length }) => length));
    const tooWide = report(guideEvidence())
      .split("\n")
      .filter((line) => line.length > widest && !line.includes("https://"));
    expect(tooWide).toEqual([]);
  });
});
