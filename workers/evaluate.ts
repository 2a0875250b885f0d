import { evaluate } from "../src/core/evaluate.ts";
import { renderCriteria } from "../src/core/report/report.ts";
import type { Evaluated, Gathered } from "../queues/jobs.ts";
import type { StageOutput } from "./stage.ts";

/** Weighs the evidence by the policy. */
export function evaluateStage({ evidence, policy }: Gathered): StageOutput<Evaluated> {
  const verdict = evaluate(evidence, policy);
  return { result: { evidence, policy, verdict }, log: renderCriteria({ evidence, policy, verdict }) };
}
