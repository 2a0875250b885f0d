import { z } from "zod";
import { duration } from "../../core/duration.ts";
import { reportShadow } from "../../use-cases/shadow-report.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { ModelPath } from "./schemas.ts";

const Said = z.object({ decision: z.string(), reason: z.string(), why: z.string().nullable() });

const ShadowReport = z.object({
  model: z.string(),
  shadow: z.string().nullable(),
  since: z.string(),
  from: z.string().nullable(),
  to: z.string().nullable(),
  decisions: z.int(),
  agreed: z.int(),
  agreement: z.number().nullable(),
  unjudged: z.int(),
  policies: z.array(
    z.object({
      policyHash: z.string(),
      policy: z.unknown(),
      from: z.string(),
      to: z.string(),
      decisions: z.int(),
      agreed: z.int(),
    }),
  ),
  disagreements: z.array(
    z.object({
      count: z.int(),
      firstId: z.int(),
      lastId: z.int(),
      from: z.string(),
      to: z.string(),
      decided: Said,
      shadow: Said,
      policyHash: z.string(),
    }),
  ),
  unlisted: z.int(),
});

const Query = z.strictObject({ since: duration().default("90d") });

export const shadowOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/models/{model}/shadow",
    role: "viewer",
    summary: "Compare the shadow policy with recorded decisions",
    description:
      "`since` is a duration such as `90d`. Disagreements in a row for the same reason are one, with their `count`.",
    params: ModelPath,
    query: Query,
    requires: ["postgres"],
    responses: { 200: { description: "The report", schema: ShadowReport } },
    async handle({ params: { model }, query: { since } }, { live, database }) {
      return { status: 200, body: await reportShadow(live.models(), database, { model, since }) };
    },
  }),
];
