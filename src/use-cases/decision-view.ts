import { type Answer, type AnsweredTraining, answerDecision } from "../core/answer.ts";
import { isApprovalAwaited } from "../core/approval-plan.ts";
import { DispatchOutcome } from "../core/dispatch/dispatch.ts";
import { DispatchRequest } from "../core/dispatch/request.ts";
import { PermanentError } from "../core/errors.ts";
import { evaluate, type Verdict } from "../core/evaluate.ts";
import type { Evidence } from "../core/evidence.ts";
import { Explanation } from "../core/explain/explanation.ts";
import type { Policy } from "../core/policy.ts";
import type { ReportInput } from "../core/report/input.ts";
import { renderReport } from "../core/report/report.ts";
import { ShadowVerdict } from "../core/shadow.ts";
import type { Database } from "../postgres/database.ts";
import type { DecisionDetail } from "../postgres/decision-log.ts";
import type { DecisionTrail } from "../postgres/pages/decision-trail.ts";
import { parseRecorded, readAs } from "./recorded-basis.ts";

/** What the page of a decision shows. */
export interface DecisionView {
  decision: DecisionDetail;
  training: (AnsweredTraining & { url: string | null; endedAt: string | null; request: unknown }) | null;
  answer: Answer;
  /** What it was judged by; null for a row of the DAG, or of a version that cannot be read. */
  basis: { evidence: Evidence; policy: Policy; verdict: Verdict } | null;
  /** As it was recorded. */
  explanation: Explanation | null;
  /** The text report, from what is recorded; null without a basis. */
  report: string | null;
  /** What a shadow policy said. */
  shadow: ShadowVerdict | null;
  trail: DecisionTrail;
}

/**
 * Reads everything that is recorded about a decision.
 *
 * @param settingNamesOf The user's names for the settings of a model's policy.
 * @param targets The names under which the audit knows the decision.
 * @throws PermanentError if there is no such decision.
 */
export async function viewDecision(
  database: Pick<Database, "readDecision" | "readTrail">,
  id: number,
  {
    timeZone,
    settingNamesOf,
    targets,
    now,
  }: {
    timeZone: string;
    settingNamesOf(model: string): ReportInput["settingNames"];
    targets: readonly string[];
    now: number;
  },
): Promise<DecisionView> {
  const [decision, trail] = await Promise.all([database.readDecision(id), database.readTrail(id, targets)]);
  if (decision === null) throw new PermanentError("NOT_FOUND", `There is no decision ${id}`);
  const recorded = parseRecorded(decision);
  const basis = recorded && judgeRecorded(recorded);
  const explanation = readAs(Explanation, decision.explanation);
  const training = decision.training && {
    ...(decision.training as unknown as Omit<NonNullable<DecisionView["training"]>, "decisionId">),
    decisionId: id,
    requestedAt: String(decision.training["askedAt"] ?? decision.training["createdAt"]),
  };
  const why = explanation?.why || basis?.verdict.explanation?.why || "";
  return {
    decision,
    training,
    answer: answerDecision(
      { decision: decision.decision ?? "", why, codes: (decision.reason ?? "").split(",") },
      {
        training,
        isAwaited:
          trail.approval?.isOpen === true &&
          basis !== null &&
          isApprovalAwaited(basis.evidence, basis.policy, basis.verdict),
        now,
      },
    ),
    basis,
    explanation: explanation ?? basis?.verdict.explanation ?? null,
    report:
      basis && renderRecorded(decision, basis, { timeZone, settingNames: settingNamesOf(decision.model) }),
    shadow: readAs(ShadowVerdict, decision.shadow),
    trail,
  };
}

/** Null if it cannot be judged: evidence that was changed may hold what no database returns, such as an instant that is none. */
function judgeRecorded(recorded: { evidence: Evidence; policy: Policy }): DecisionView["basis"] {
  try {
    return { ...recorded, verdict: evaluate(recorded.evidence, recorded.policy) };
  } catch {
    return null;
  }
}

function renderRecorded(
  decision: DecisionDetail,
  { evidence, policy, verdict }: NonNullable<DecisionView["basis"]>,
  settings: Pick<ReportInput, "timeZone" | "settingNames">,
): string {
  const { id, runId, model, decidedAt, bufferSize, driftScore, nextLookAt, training } = decision;
  const outcome = DispatchOutcome.safeParse(training).data ?? null;
  return renderReport({
    ...settings,
    model,
    runId: runId ?? "",
    evidence,
    policy,
    verdict,
    request: DispatchRequest.nullable().safeParse(training?.["request"] ?? null).data ?? null,
    recorded: { id, decidedAt, decision: decision.decision, bufferSize, driftScore, nextLookAt },
    dispatch: outcome && { ...outcome, trainer: String(training?.["trainer"]) },
    superseded: null,
    page: null,
  });
}
