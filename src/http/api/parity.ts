import { z } from "zod";
import { PARITY_CODES } from "../../core/parity/explain-difference.ts";
import { PointInTime } from "../../core/point-in-time.ts";
import { compareModel } from "../../use-cases/parity.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { ModelPath } from "./schemas.ts";

const Difference = z.object({
  code: z.enum(Object.keys(PARITY_CODES)),
  detail: z.string(),
  at: z.string().nullable(),
  dagRow: z.int().nullable(),
  decision: z.int().nullable(),
});

const Report = z.object({
  model: z.string(),
  since: z.string(),
  until: z.string(),
  dagRows: z.int(),
  decisions: z.int(),
  pairs: z.int(),
  agreeing: z.int(),
  differences: z.array(Difference),
  unpaired: z.array(Difference),
  doubts: z.array(z.string()),
});

/** How far Retrigger agrees with the DAG that it replaces. */
export const parityOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/models/{model}/parity",
    role: "viewer",
    summary: "Compare the decisions with those of the Airflow DAG running alongside",
    description: "`since`: an age such as `90d`, which is the default, or a date such as `2026-01-01`.",
    params: ModelPath,
    query: z.strictObject({ since: PointInTime.prefault("90d") }),
    requires: ["postgres"],
    responses: { 200: { description: "The pairs and what explains each difference", schema: Report } },
    async handle({ params: { model }, query: { since } }, { live, database }) {
      return { status: 200, body: await compareModel({ models: live.models() }, database, model, since) };
    },
  }),
];
