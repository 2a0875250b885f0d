import { z } from "zod";
import { PermanentError, TransientError } from "../../core/errors.ts";
import { parseInput } from "../../core/parse.ts";
import { audited } from "../../use-cases/audited.ts";
import { answerApproval } from "../../use-cases/interventions.ts";
import { settleDecision, type Settlement } from "../../use-cases/settle-decision.ts";
import { DecisionPath, Reason, ReasonBody } from "../api/schemas.ts";
import type { Action } from "../pages/page.ts";
import { renderRetried } from "../pages/retry.tsx";
import { decisionPath } from "../parts/links.tsx";
import { toProblem, UNEXPECTED } from "../problem.ts";
import type { Notice } from "./notices.ts";

const SHARED = { role: "operator", requires: ["postgres", "redis writes"] } as const;

/** What forms do about decisions. */
export const decisionActions: readonly Action[] = [
  approvalAction("approve", "approved"),
  approvalAction("reject", "rejected"),
  settle("retry", "retried", () => ({ kind: "retry" })),
  settle("resend", "resent", () => ({ kind: "resend" })),
  settle("confirm", "confirmed", (fields) => ({
    kind: "confirm",
    ...parseInput(z.strictObject({ training: Reason }), fields, "form"),
  })),
  {
    ...SHARED,
    path: "/decisions/retry",
    async run({ fields, caller }, dependencies) {
      const { ids } = parseInput(z.strictObject({ ids: Ids }), fields, "form");
      const results: { id: number; problem: string | null }[] = [];
      let isAway = false;
      for (const id of ids) {
        if (isAway) {
          results.push({ id, problem: "was not tried" });
          continue;
        }
        const done = {
          action: "POST /decisions/:id/retry",
          target: `${decisionPath(id)}/retry`,
          status: 303,
        };
        const retry = () => settleDecision(dependencies, id, { kind: "retry" });
        try {
          await audited(dependencies.database, caller, done, retry);
          results.push({ id, problem: null });
        } catch (error) {
          isAway = error instanceof TransientError;
          if (!isAway && !(error instanceof PermanentError)) throw error;
          const known = toProblem(error);
          if (known === null) dependencies.log.warn({ err: error, decisionId: id }, "request failed");
          const { detail } = known ?? UNEXPECTED;
          results.push({
            id,
            problem: isAway ? `may have been sent or not. ${detail}` : dependencies.redact(detail),
          });
        }
      }
      return renderRetried(results);
    },
  },
];

/** The numbers of decisions, as the preview listed them. */
const Ids = z
  .string()
  .regex(/^[1-9]\d{0,8}(,[1-9]\d{0,8}){0,99}$/, "must be 1 to 100 numbers of decisions")
  .transform((text) => text.split(",").map(Number));

function approvalAction(name: "approve" | "reject", state: "approved" | "rejected"): Action {
  return {
    ...SHARED,
    path: `/decisions/:id/${name}`,
    async run({ params, fields, caller }, dependencies) {
      const { id } = parseInput(DecisionPath, params, "path");
      const { reason } = parseInput(ReasonBody, fields, "form");
      const { jobId } = await answerApproval(dependencies, id, { state, by: caller.name, reason });
      // The decision that follows says what came of it.
      return { redirect: state === "approved" ? `/requests/${jobId}` : `${decisionPath(id)}?done=rejected` };
    },
  };
}

function settle(
  name: Settlement["kind"],
  notice: Notice,
  toSettlement: (fields: Readonly<Record<string, string | undefined>>) => Settlement,
): Action {
  return {
    ...SHARED,
    path: `/decisions/:id/${name}`,
    async run({ params, fields }, dependencies) {
      const { id } = parseInput(DecisionPath, params, "path");
      await settleDecision(dependencies, id, toSettlement(fields));
      return { redirect: `${decisionPath(id)}?done=${notice}` };
    },
  };
}
