import { toMs } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import { timeOf, weighedChecks, withScore } from "../facts.ts";
import { formatRatio } from "../format.ts";
import type { Lever } from "./lever.ts";

/** Lower scores: each at most a share of what it was. The size is the share that is taken away, from 0 to 1. */
export function capScores(check: string, within: string, guess?: Lever["guess"]): Lever {
  return {
    id: "lower_scores",
    check,
    kind: "figure",
    scale: 1,
    limit: () => 1,
    apply: scale,
    ...(guess === undefined ? {} : { guess }),
    describe: (size, evidence) => {
      const start = Date.parse(evidence.takenAt) - toMs(within);
      const count = weighedChecks(evidence).filter((check) => timeOf(check) > start).length;
      return `${count === 1 ? "a score" : "scores"} ${formatRatio(100 * size)} % lower`;
    },
  };
}

function scale(evidence: Evidence, size: number): Evidence {
  return {
    ...evidence,
    weighed: weighedChecks(evidence).map((check) =>
      withScore(check, check.score === null ? null : check.score * (1 - size)),
    ),
  };
}
