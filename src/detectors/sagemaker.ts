import { z } from "zod";
import type { DetectedCheck, Detector } from "./detector.ts";
import { createFindings, type Findings, isRecord, Name } from "./findings.ts";
import { scoreDistance } from "./scores.ts";

/** SageMaker Model Monitor: the violations that a monitoring execution lists. A file without any reports no drift. */
export const sagemaker: Detector = {
  name: "sagemaker",
  title: "SageMaker Model Monitor",
  versions: "constraint_violations.json of data quality, bias drift and feature attribution drift jobs",
  parse(document) {
    const findings = createFindings("constraint_violations.json");
    if (isRecord(document) && Array.isArray(document["violations"]))
      for (const [index, value] of document["violations"].entries())
        readViolation(value, ["violations", index], findings);
    else findings.fault([], document, "expected an object with the list violations");
    return findings.finish();
  },
};

type Path = readonly (string | number)[];

/** Checks of the data or of the model's quality: they count as no drift. */
const OTHER_CHECKS = [
  "data_type_check",
  "completeness_check",
  "missing_column_check",
  "extra_column_check",
  "categorical_values_check",
  "LessThanThreshold",
  "GreaterThanThreshold",
];

const Violation = z.looseObject(
  {
    constraint_check_type: z.string({ error: "must be a text" }),
    description: z.string({ error: "must be a text" }).nullish(),
  },
  { error: "must be an object with constraint_check_type" },
);

const Feature = z.looseObject({ feature_name: Name });
const Attribution = z.looseObject({ label: Name, metric_name: Name });
const Bias = z.looseObject({
  facet: Name,
  facet_value: z.union([z.string(), z.number()], { error: "must be a text" }).nullish(),
  metric_name: Name,
});

function readViolation(value: unknown, path: Path, findings: Findings): void {
  const violation = findings.read(Violation, value, path);
  if (violation === null) return;
  const { constraint_check_type: type, description } = violation;
  const text = description ?? "";
  const add = (feature: string, measured: Pick<DetectedCheck, "score" | "threshold" | "triggered">): void =>
    findings.add(path, { feature, method: type, ...measured, notes: `${type}: ${text}` });
  switch (type) {
    case "baseline_drift_check": {
      const feature = findings.read(Feature, value, path);
      const { figure, limit } = readFigures(text);
      if (feature !== null) add(feature.feature_name, scoreDistance(figure, limit, true));
      break;
    }
    case "feature_attribution_drift_check": {
      const attribution = findings.read(Attribution, value, path);
      if (attribution !== null)
        add(`${attribution.label}: ${attribution.metric_name}`, measureAttribution(readFigures(text)));
      break;
    }
    case "bias_drift_check": {
      const bias = findings.read(Bias, value, path);
      if (bias === null) break;
      const facet = [bias.facet, bias.facet_value ?? ""].filter((part) => part !== "").join("=");
      // A bias may be too high or too low, and the description does not say which.
      add(`${facet}: ${bias.metric_name}`, { score: null, threshold: null, triggered: true });
      break;
    }
    default:
      if (OTHER_CHECKS.includes(type))
        findings.ignore(`violations[${path.at(-1)}]: ${type} of ${nameOf(violation)} is no drift check`);
      else
        findings.fault(
          [...path, "constraint_check_type"],
          type,
          `expected baseline_drift_check, feature_attribution_drift_check, bias_drift_check, or a check that is no drift (${OTHER_CHECKS.join(", ")})`,
        );
  }
}

function nameOf({ feature_name: feature, metric_name: metric }: Record<string, unknown>): string {
  return ([feature, metric].find((text) => typeof text === "string") ?? "the data").slice(0, 200).trim();
}

// Followed by a comma and digits it may be a decimal comma, by "of" a count.
const NUMBER = String.raw`(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\d.]*,\d|\d|\s+of\b)`;

/** The figures of a description, whose wording varies: `... distance: 0.27 exceeds threshold: 0.2`. */
function readFigures(text: string): { figure: number | null; limit: number | null } {
  const short = text.slice(0, 1000);
  const find = (word: string) => new RegExp(String.raw`\b${word}\W{1,5}${NUMBER}`, "i").exec(short)?.[1];
  const figure = find("distance") ?? find("drift");
  const limit = find("threshold");
  return { figure: figure ? Number(figure) : null, limit: limit ? Number(limit) : null };
}

/**
 * The figure is an nDCG score: 1 if the ranking of the features has not changed, and a violation if it is below the
 * threshold, whatever the description says. What is missing to 1 grows with drift.
 */
function measureAttribution({ figure, limit }: ReturnType<typeof readFigures>) {
  const toDrift = (score: number | null): number | null =>
    score === null || score < 0 || score > 1 ? null : 1 - score;
  return scoreDistance(toDrift(figure), toDrift(limit), true);
}
