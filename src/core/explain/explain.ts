import { listCriteria } from "../condition.ts";
import { judgeDriftRuns } from "../drift-runs.ts";
import type { Evidence } from "../evidence.ts";
import type { Judgement } from "../judge.ts";
import type { Policy } from "../policy.ts";
import { estimate } from "./estimate.ts";
import type { Explanation } from "./explanation.ts";
import { findFlips } from "./flips.ts";
import { joinChanges } from "./join-texts.ts";
import { listUncounted } from "./uncounted.ts";
import { listWarnings } from "./warnings.ts";
import { describeWhy } from "./why.ts";

/** Explains a judgement from the evidence alone. */
export function explain(evidence: Evidence, policy: Policy, judgement: Judgement): Explanation {
  return {
    why: describeWhy(evidence, policy, judgement),
    nearestFlips: findFlips(evidence, policy, judgement).map((changes) => ({
      changes,
      text: joinChanges(changes.map(({ text }) => text)),
      eta: judgement.decision === "trigger" ? null : estimate(changes, evidence, policy),
    })),
    notCounted: listUncounted(evidence, policy, listCriteria(policy.when)),
    warnings: listWarnings(evidence, policy),
    driftRuns: judgeDriftRuns(evidence, Date.parse(evidence.takenAt)),
  };
}
