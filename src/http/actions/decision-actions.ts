import { z } from "zod";
import { messageOf } from "../../core/errors.ts";
import { parseInput } from "../../core/parse.ts";
import { answerApproval } from "../../use-cases/interventions.ts";
import { settleDecision, type Settlement } from "../../use-cases/settle-decision.ts";
import { DecisionPath, Reason, ReasonBody } from "../api/schemas.ts";
import type { Action } from "../pages/page.ts";
import { renderRetried } from "../pages/retry.tsx";
import { decisionPath } from "../parts/links.tsx";
import type { Notice } from "./notices.ts";

const SHARED = { role: "operator", requires: ["postgres", "redis writes"] } as const;

/** What forms do about decisions. */
export const decisionActions: readonly Action[] = [
  answer("approve", "approved"),
  answer("reject", "rejected"),
  settle("retry", "retried", () => ({ kind: "retry" })),
  settle("resend", "resent", () => ({ kind: "resend" })),
  settle("confirm", "confirmed", (fields) => ({
    kind: "confirm",
    ...parseInput(z.strictObject({ training: Reason }), fields, "form"),
  })),
  {
    ...SHARED,
    path: "/decisions/retry",
    async run({ fields }, dependencies) {
      const { ids } = parseInput(z.strictObject({ ids: Ids }), fields, "form");
      const results: { id: number; problem: string | null }[] = [];
      for (const id of ids) {
        const problem = await settleDecision(dependencies, id, { kind: "retry" }).then(() => null, messageOf);
        results.push({ id, problem });
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

function answer(name: "approve" | "reject", state: "approved" | "rejected"): Action {
  return {
    ...SHARED,
    path: `/decisions/:id/${name}`,
    async run({ params, fields, caller }, dependencies) {
      const { id } = parseInput(DecisionPath, params, "path");
      const { reason } = parseInput(ReasonBody, fields, "form");
      await answerApproval(dependencies, id, { state, by: caller.name, reason });
      return { redirect: `${decisionPath(id)}?done=${state}` };
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
