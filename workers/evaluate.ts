import type { Evaluated, Gathered } from "../queues/jobs.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { renderCriteria } from "../src/core/report/criteria.ts";
import { describeNoShadow, describeShadow, judgeGatheredShadow } from "./judge-shadow.ts";
import type { StageOutput } from "./stage.ts";

/** Evaluates the evidence against the policy, and what its shadow sees against the shadow. */
export function evaluateStage(gathered: Gathered): StageOutput<Evaluated> {
  const { evidence, policy } = gathered;
  const verdict = evaluate(evidence, policy);
  const { shadow, problem } = judgeGatheredShadow(gathered);
  const log = [
    renderCriteria({ evidence, policy, verdict }),
    ...(shadow === null ? [] : [describeShadow(shadow)]),
    ...(problem === null ? [] : [describeNoShadow(problem)]),
  ].join("\n");
  return { kind: "done", result: { evidence, policy, verdict, shadow }, log };
}
