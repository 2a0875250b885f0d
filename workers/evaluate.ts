import type { Evaluated, Gathered } from "../queues/jobs.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { renderCriteria } from "../src/core/report/criteria.ts";
import type { StageOutput } from "./stage.ts";

/** Evaluates the evidence against the policy. */
export function evaluateStage({ evidence, policy }: Gathered): StageOutput<Evaluated> {
  const verdict = evaluate(evidence, policy);
  const log = renderCriteria({ evidence, policy, verdict });
  return { kind: "done", result: { evidence, policy, verdict }, log };
}
