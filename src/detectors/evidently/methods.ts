import type { DetectedCheck } from "../detector.ts";
import { Figure, PValue } from "../findings.ts";
import { scoreDistance, scorePValue } from "../scores.ts";

/** How a drift method of Evidently compares its score with the threshold. */
interface Method {
  /** `p_value`: drift is below the threshold. `distance`: above it. `hidden`: the score is compared with another figure. */
  kind: "p_value" | "distance" | "hidden";
  /** Whether a score that equals the threshold is drift. */
  isInclusive: boolean;
}

const P_VALUE: Method = { kind: "p_value", isInclusive: false };
const P_VALUE_AT_MOST: Method = { kind: "p_value", isInclusive: true };
const DISTANCE: Method = { kind: "distance", isInclusive: true };
const DISTANCE_ABOVE: Method = { kind: "distance", isInclusive: false };

/** By the name that reports show, and by the one that is written in code. */
const METHODS: readonly (readonly [shown: string, short: string, method: Method])[] = [
  ["Anderson-Darling", "anderson", P_VALUE],
  ["chi-square p_value", "chisquare", P_VALUE],
  ["Cramer-von Mises", "cramer_von_mises", P_VALUE_AT_MOST],
  ["Epps-Singleton", "es", P_VALUE],
  ["Fisher's Exact test", "fisher_exact", P_VALUE],
  ["g_test", "g_test", P_VALUE],
  ["K-S p_value", "ks", P_VALUE_AT_MOST],
  ["Mann-Whitney U-rank test", "mannw", P_VALUE],
  ["empirical_mmd", "empirical_mmd", P_VALUE],
  ["t_test", "t_test", P_VALUE],
  ["Total-Variation-Distance", "TVD", P_VALUE],
  ["Z-test p_value", "z", P_VALUE],
  ["Energy-distance", "ed", DISTANCE_ABOVE],
  ["Hellinger distance", "hellinger", DISTANCE],
  ["Jensen-Shannon distance", "jensenshannon", DISTANCE],
  ["Kullback-Leibler divergence", "kl_div", DISTANCE],
  ["PSI", "psi", DISTANCE],
  ["Wasserstein distance (normed)", "wasserstein", DISTANCE],
  ["Absolute text content drift", "abs_text_content_drift", DISTANCE_ABOVE],
  // Compared with a percentile of random classifiers.
  ["Percentile text content drift", "perc_text_content_drift", { kind: "hidden", isInclusive: false }],
];

/** The method of a name; undefined if it is unknown. Any name that says `p_value` is one. */
export function findMethod(name: string): Method | undefined {
  const key = name.toLowerCase();
  const known = METHODS.find(([shown, short]) => [shown, short].some((text) => text.toLowerCase() === key));
  return known?.[2] ?? (key.includes("p_value") ? P_VALUE : undefined);
}

/** Whether a score is drift. */
export function isDrift(score: number, threshold: number, { kind, isInclusive }: Method): boolean {
  if (score === threshold) return isInclusive;
  return kind === "p_value" ? score < threshold : score > threshold;
}

/** The score by which a method is weighed. Of a method that is unknown, only the verdict is kept. */
export function measure(
  value: number | null,
  threshold: number | null,
  method: string | null,
  triggered: boolean,
): Pick<DetectedCheck, "score" | "threshold" | "triggered"> {
  const kind = method === null ? undefined : findMethod(method)?.kind;
  switch (kind) {
    case "p_value":
      return scorePValue(value, threshold, triggered);
    case "distance":
      return scoreDistance(value, threshold, triggered);
    case "hidden":
      return scoreDistance(value, null, triggered);
    case undefined:
      return { score: null, threshold: null, triggered };
    default:
      return kind satisfies never;
  }
}

/** The schema of a method's value. */
export function valueOf(method: string | null | undefined): typeof Figure {
  return method && findMethod(method)?.kind === "p_value" ? PValue : Figure;
}
