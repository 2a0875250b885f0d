import { z } from "zod";
import { ModelName } from "../../../queues/jobs.ts";
import { VerificationFault } from "../../core/verification/fault.ts";
import { Anchor, Verification } from "../../core/verification/verification.ts";
import { verifyOne } from "../../use-cases/verify/verify-one.ts";
import { verificationsOf } from "../verification-runs.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { DecisionPath } from "./schemas.ts";

const ModelQuery = z.strictObject({ model: ModelName.optional() });

const DecisionVerification = z.object({
  decisionId: z.int(),
  model: z.string(),
  sha256: z.string().nullable(),
  coverage: z.enum(["chained", "unchained", "dag"]),
  compared: z.enum(["all", "outcome", "newer", "nothing"]),
  faults: z.array(VerificationFault),
});

const PrunedHead = z.object({
  model: z.string(),
  decisionId: z.int(),
  sha256: z.string().nullable(),
  decisions: z.int(),
});

export const verificationOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/decisions/{id}/verification",
    role: "viewer",
    summary: "Verify a decision: its row, its place in the chain, its verdict",
    params: DecisionPath,
    requires: ["postgres"],
    responses: { 200: { description: "What was found", schema: DecisionVerification } },
    async handle({ params: { id } }, { database }) {
      return { status: 200, body: await verifyOne(database, id) };
    },
  }),
  operation({
    method: "GET",
    path: "/verification",
    role: "operator",
    summary: "Verify every decision, or those of a model",
    description: "It takes about 30 s for 100,000 decisions. 409 while another verification is under way.",
    query: ModelQuery,
    requires: ["postgres"],
    responses: { 200: { description: "What was found", schema: Verification } },
    async handle({ query: { model } }, { database }) {
      return { status: 200, body: await verificationsOf(database).start(model ?? null) };
    },
  }),
  operation({
    method: "GET",
    path: "/anchors",
    role: "viewer",
    summary: "List the newest hash of each model, to be kept elsewhere",
    query: ModelQuery,
    requires: ["postgres"],
    responses: {
      200: {
        description: "The heads of the chains, and what is left of pruned decisions",
        schema: z.object({ anchors: z.array(Anchor), pruned: z.array(PrunedHead) }),
      },
    },
    async handle({ query: { model } }, { database }) {
      const [anchors, pruned] = await Promise.all([database.listHeads(model ?? null), database.listPruned()]);
      return { status: 200, body: { anchors, pruned } };
    },
  }),
];
