import { createHash } from "node:crypto";
import { type DispatchRequest, toRecorded } from "../core/dispatch/request.ts";
import type { Verdict } from "../core/evaluate.ts";
import type { Evidence } from "../core/evidence.ts";
import { formatCount } from "../core/format.ts";
import type { Policy } from "../core/policy.ts";
import type { ShadowVerdict } from "../core/shadow.ts";
import { hashPolicy } from "../postgres/canonical-hash.ts";
import type { NewDecision } from "../postgres/decisions.ts";
import type { Trainer } from "./trainer.ts";

/** What the decision log stores about a verdict. */
export interface DecisionDraft {
  decision: string;
  notes: string;
  request: DispatchRequest | null;
  /** Hash of the settings that rendered the request. */
  settingsHash: string;
}

/** Drafts the decision row, with the request to the trainer; pure, so that a dry run shows the same. */
export function draftDecision(
  { runId, model, evidence, verdict }: { runId: string; model: string; evidence: Evidence; verdict: Verdict },
  trainer: Trainer,
): DecisionDraft {
  if (verdict.decision === "no_action") {
    const { checks, buffer } = evidence;
    const notes = `No retraining needed. Triggered alerts: ${checks.triggered}, Buffer: ${formatCount(buffer.size)}`;
    return { decision: "no_action", notes, request: null, settingsHash: "" };
  }
  const order = {
    runId,
    model,
    reason: verdict.reason,
    driftScore: verdict.driftScore,
    bufferSize: evidence.buffer.size,
  };
  return {
    decision: trainer.triggerWord,
    notes: `${trainer.remote ? `Requests a training from ${trainer.name}` : "MOCK: Would trigger GitHub Actions"}. Feature: ${verdict.feature ?? "N/A"}`,
    request: trainer.renderRequest(order),
    settingsHash: hashSettings(trainer, model),
  };
}

/** Drafts the whole row of a decision. */
export function draftRecord(
  judged: {
    runId: string;
    model: string;
    cause: string;
    evidence: Evidence;
    policy: Policy;
    verdict: Verdict;
    shadow?: ShadowVerdict | null;
  },
  trainer: Trainer,
): NewDecision {
  return {
    ...judged,
    ...draftDecision(judged, trainer),
    shadow: judged.shadow ?? null,
    policyHash: hashPolicy(judged.policy),
    trainer: trainer.name,
    // A trainer that only shows the request sends nothing, so its dispatch is complete once recorded.
    dispatchState: trainer.remote ? "pending" : "sent",
  };
}

/** Hashes the trainer's settings for a model by the request that they render for an empty order. */
export function hashSettings(trainer: Pick<Trainer, "renderRequest">, model: string): string {
  const empty = { runId: "", model, reason: "", driftScore: null, bufferSize: 0 };
  return createHash("sha256")
    .update(JSON.stringify(toRecorded(trainer.renderRequest(empty))))
    .digest("hex")
    .slice(0, 16);
}
