import { z } from "zod";
import { toCsv } from "../../core/csv.ts";
import { reportOf } from "../../core/report/decision-summary.ts";
import type { DecisionDetail, DecisionRow as Row } from "../../postgres/decision-log.ts";
import { answerApproval } from "../../use-cases/interventions.ts";
import { settleDecision } from "../../use-cases/settle-decision.ts";
import { BROUGHT, judgeOutcome } from "../../core/outcome/outcome.ts";
import { STAGES } from "../../../queues/names.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, operation } from "./operation.ts";
import {
  DecisionPath,
  DecisionQuery,
  DecisionRow,
  OutcomeRow,
  Reason,
  ReasonBody,
  toDecisionFilter,
} from "./schemas.ts";

const Detail = DecisionRow.extend({
  evidence: z.unknown(),
  criteria: z.unknown(),
  policy: z.unknown(),
  policyHash: z.string().nullable(),
  explanation: z.unknown(),
  forced: z.unknown(),
  shadow: z.unknown(),
  nextLookAt: z.string().nullable(),
  training: z.looseObject({}).nullable(),
  outcomes: z.array(OutcomeRow),
  /** What the training brought, by all outcomes; null if none was reported. */
  brought: z.enum(BROUGHT).nullable(),
  events: z.array(z.looseObject({})),
  /** The text report; null once the jobs were removed from the history. */
  report: z.string().nullable(),
  /** The pages of its jobs in Bull Board. */
  jobs: z.record(z.string(), z.string()),
});

const Settled = z.object({ decisionId: z.int(), state: z.string() });

export const decisionOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/decisions",
    role: "viewer",
    summary: "List decisions, newest first",
    description: "`nextCursor` is the `cursor` of the next page. `Accept: text/csv` returns a table.",
    query: DecisionQuery,
    requires: ["postgres"],
    responses: {
      200: {
        description: "A page of decisions",
        schema: z.object({ decisions: z.array(DecisionRow), nextCursor: z.string().nullable() }),
        types: ["text/csv"],
      },
    },
    async handle({ query, request }, { database }) {
      const decisions = await database.listDecisions(toDecisionFilter(query));
      if (request.accepts(["application/json", "text/csv"]) === "text/csv")
        return { status: 200, type: "text/csv", body: toCsv(CSV_COLUMNS, decisions) };
      const last = decisions.length === query.limit ? decisions.at(-1) : undefined;
      return { status: 200, body: { decisions, nextCursor: last ? String(last.id) : null } };
    },
  }),
  operation({
    method: "GET",
    path: "/decisions/{id}",
    role: "viewer",
    summary: "Read a decision with its evidence, checks, report, dispatch and training",
    params: DecisionPath,
    requires: ["postgres"],
    responses: { 200: { description: "The decision", schema: Detail } },
    async handle({ params: { id } }, { database, queues }) {
      const found = await database.readDecision(id);
      if (!found) throw notFound(id);
      const { runId } = found;
      // Redis may be away: the decision is in Postgres.
      const job =
        runId === null
          ? null
          : await queues
              .find(({ name }) => name === "summarize")
              ?.getJob(runId)
              .catch(() => null);
      const report = reportOf(job?.returnvalue);
      const jobs =
        runId === null
          ? {}
          : Object.fromEntries(STAGES.map((stage) => [stage, `/queues/queue/${stage}/${runId}`]));
      const brought = found.outcomes.length === 0 ? null : judgeOutcome(found.outcomes);
      return { status: 200, body: { ...found, ...readRecordedJson(found), brought, report, jobs } };
    },
  }),
  answer("approve", "approved"),
  answer("reject", "rejected"),
  reopen("retry", "Send a request again that the trainer refused"),
  reopen("resend", "Send the request of an unknown dispatch again, which started no training"),
  operation({
    method: "POST",
    path: "/decisions/{id}/dispatch/confirm",
    role: "operator",
    summary: "Name the training that an unknown dispatch started",
    params: DecisionPath,
    body: z.strictObject({ training: Reason }),
    requires: ["postgres", "redis writes"],
    responses: {
      200: {
        description: "It will be followed",
        schema: Settled.extend({ externalId: z.string().nullable() }),
      },
    },
    async handle({ params: { id }, body }, dependencies) {
      const settlement = { kind: "confirm", training: body.training } as const;
      return {
        status: 200,
        body: { decisionId: id, ...(await settleDecision(dependencies, id, settlement)) },
      };
    },
  }),
];

const JSON_COLUMNS = ["evidence", "criteria", "policy", "explanation", "forced", "shadow"] as const;

/** The columns of JSON; a text in place of one that was changed to what no stack suffices for. */
function readRecordedJson(found: DecisionDetail): Partial<Record<(typeof JSON_COLUMNS)[number], unknown>> {
  return Object.fromEntries(
    JSON_COLUMNS.map((column) => {
      try {
        JSON.stringify(found[column]);
        return [column, found[column]];
      } catch {
        return [column, "It cannot be shown: it is nested too deeply. It was changed since it was recorded"];
      }
    }),
  );
}

function answer(name: "approve" | "reject", state: "approved" | "rejected"): AnyOperation {
  return operation({
    method: "POST",
    path: `/decisions/{id}/${name}`,
    role: "operator",
    summary: `${name === "approve" ? "Approve" : "Reject"} the training that a decision awaits`,
    params: DecisionPath,
    body: ReasonBody,
    requires: ["postgres", "redis writes"],
    responses: {
      200: {
        description: "Answered",
        schema: z.object({ decisionId: z.int(), model: z.string(), state: z.string() }),
      },
    },
    async handle({ params: { id }, body: { reason }, caller }, dependencies) {
      const { model } = await answerApproval(dependencies, id, { state, by: caller.name, reason });
      return { status: 200, body: { decisionId: id, model, state } };
    },
  });
}

function reopen(kind: "retry" | "resend", summary: string): AnyOperation {
  return operation({
    method: "POST",
    path: `/decisions/{id}/dispatch/${kind}`,
    role: "operator",
    summary,
    params: DecisionPath,
    requires: ["postgres", "redis writes"],
    responses: { 202: { description: "It will be sent", schema: Settled } },
    async handle({ params: { id } }, dependencies) {
      const { state } = await settleDecision(dependencies, id, { kind });
      return { status: 202, body: { decisionId: id, state } };
    },
  });
}

const notFound = (id: number) => new RequestError(404, `There is no decision ${id}`, "NOT_FOUND");

const CSV_COLUMNS = Object.keys(DecisionRow.shape) as (keyof Row)[];
