import { z } from "zod";
import { findModel } from "../../config/find-model.ts";
import type { Cadence } from "../../core/backtest/input.ts";
import { duration, toMs } from "../../core/duration.ts";
import type { Fault } from "../../core/fields.ts";
import { parsePolicy, type Policy } from "../../core/policy.ts";
import { runBacktest, runTune } from "../../use-cases/backtest.ts";
import { currentConfig } from "../current-config.ts";
import { oneReplay } from "../one-replay.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { ModelPath } from "./schemas.ts";

const ReplayFields = z.strictObject({
  since: duration("1h").default("90d"),
  atEvents: z.literal(true).optional(),
  every: duration("1m", "365d").optional(),
});
type ReplayFields = z.infer<typeof ReplayFields>;

const EXCLUDING = { path: ["every"], error: "excludes atEvents" };

const ReplayBody = ReplayFields.refine(isOneCadence, EXCLUDING);
const BacktestBody = ReplayFields.extend({ policy: z.unknown().optional() }).refine(isOneCadence, EXCLUDING);

function isOneCadence({ atEvents, every }: ReplayFields): boolean {
  return atEvents === undefined || every === undefined;
}

/** Where policies decide, as the body says; null to choose. */
function toCadence({ atEvents, every }: ReplayFields): Cadence | null {
  if (every !== undefined) return { everyMs: toMs(every) };
  return atEvents ? "events" : null;
}

export const backtestOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/models/{model}/policy",
    role: "viewer",
    summary: "Read the policy in force",
    params: ModelPath,
    requires: [],
    responses: {
      200: { description: "The policy", schema: z.object({ model: z.string(), policy: z.looseObject({}) }) },
    },
    async handle({ params: { model } }, { live }) {
      return { status: 200, body: { model, policy: findModel(live.models(), model).policy } };
    },
  }),
  operation({
    method: "POST",
    path: "/models/{model}/backtest",
    role: "operator",
    summary: "Replay the policy in force, and another one, over a model's history",
    description:
      "`policy` has the form of `policy` in the YAML file; what it leaves out is as in force. Policies decide when decisions are on record, at events (`atEvents`) or at an interval (`every`). Records and sends nothing. One replay runs at a time.",
    params: ModelPath,
    body: BacktestBody,
    requires: ["postgres"],
    responses: { 200: { description: "What both policies would have done", schema: z.looseObject({}) } },
    async handle({ params: { model }, body }, dependencies) {
      const config = currentConfig(dependencies);
      const candidate =
        body.policy === undefined
          ? null
          : parseCandidate(body.policy, findModel(config.models, model).policy);
      const request = { model, candidate, since: body.since, cadence: toCadence(body) };
      const { database } = dependencies;
      return { status: 200, body: await oneReplay(() => runBacktest({ ...config, database }, request)) };
    },
  }),
  operation({
    method: "POST",
    path: "/models/{model}/tune",
    role: "operator",
    summary: "Try other thresholds over a model's history",
    description: "Changes nothing. One replay runs at a time.",
    params: ModelPath,
    body: ReplayBody,
    requires: ["postgres"],
    responses: { 200: { description: "Every policy that was tried", schema: z.looseObject({}) } },
    async handle({ params: { model }, body }, dependencies) {
      const config = currentConfig(dependencies);
      const request = { model, since: body.since, cadence: toCadence(body) };
      const { database } = dependencies;
      return { status: 200, body: await oneReplay(() => runTune({ ...config, database }, request)) };
    },
  }),
];

/** @throws RequestError with every fault of the policy. */
function parseCandidate(value: unknown, base: Policy): Policy {
  const faults: Fault[] = [];
  const policy = parsePolicy(value, base, ["policy"], faults);
  if (faults.length === 0) return policy;
  const texts = faults.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new RequestError(400, texts.join("; "), "BAD_POLICY");
}
