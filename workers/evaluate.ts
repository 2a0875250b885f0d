import type { Evaluated, Gathered } from "../queues/jobs.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { describeNoShadow, judgeGatheredShadow } from "./judge-shadow.ts";
import type { StageOutput } from "./stage.ts";

/** Evaluates the evidence against the policy, and what its shadow sees against the shadow. */
export function evaluateStage(gathered: Gathered): StageOutput<Evaluated> {
  const { evidence, policy } = gathered;
  const verdict = evaluate(evidence, policy);
  const { shadow, problem } = judgeGatheredShadow(gathered);
  const result = { evidence, policy, verdict, shadow };
  if (problem === null) return { kind: "done", result };
  return { kind: "done", result, log: describeNoShadow(problem) };
}
