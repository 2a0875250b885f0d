import { z } from "zod";
import type { DetectedCheck, Detector } from "./detector.ts";
import { createFindings, Figure, type Findings, isRecord, Name, PValue } from "./findings.ts";
import { describeComparison, scoreDistance, scorePValue } from "./scores.ts";

/** Alibi Detect: what `predict()` of an offline drift detector returns. */
export const alibiDetect: Detector = {
  name: "alibi-detect",
  title: "Alibi Detect",
  versions: "predict() of the offline drift detectors",
  parse(document) {
    const findings = createFindings("Alibi Detect result");
    if (isRecord(document) && isRecord(document["data"])) readResult(document, findings);
    else
      findings.fault(
        [],
        document,
        "expected an object with data and meta, as predict() of a detector returns it",
      );
    return findings.finish();
  },
};

const LISTED = 1000;
const listOf = <T extends z.ZodType>(schema: T) =>
  z.array(schema).min(1, "must not be empty").max(LISTED, `must have at most ${LISTED} features`);

/** A figure of the batch, or one of each feature. */
const eitherOf = <T extends z.ZodType>(schema: T) =>
  z
    .unknown()
    .optional()
    .transform((value, context): z.infer<T> | z.infer<T>[] => {
      const parsed = (Array.isArray(value) ? listOf(schema) : schema).safeParse(value);
      if (parsed.success) return parsed.data;
      for (const { path, message } of parsed.error.issues)
        context.addIssue({ code: "custom", path: [...path], message });
      return z.NEVER;
    });

const Flag = z.union([z.boolean(), z.literal(0), z.literal(1)], { error: "must be 0 or 1" });

const Result = z.looseObject({
  meta: z.looseObject(
    {
      name: Name,
      online: z
        .literal(false, { error: "must be false: the results of online detectors are not understood" })
        .nullish(),
      detector_type: z
        .enum(["drift", "offline"], { error: "must be drift: only drift detectors are understood" })
        .nullish(),
      feature_names: listOf(Name).nullish(),
    },
    { error: "must be an object with name" },
  ),
  feature_names: listOf(Name).nullish(),
  data: z.looseObject({
    is_drift: eitherOf(Flag),
    p_val: eitherOf(PValue),
    distance: eitherOf(Figure),
    threshold: Figure,
    distance_threshold: Figure,
  }),
});
type Result = z.infer<typeof Result>;

function readResult(document: Record<string, unknown>, findings: Findings): void {
  const result = findings.read(Result, document, []);
  if (result === null) return;
  const { is_drift: drift, p_val: p, distance } = result.data;
  const lengths = Object.entries({ is_drift: drift, p_val: p, distance }).flatMap(([key, value]) =>
    Array.isArray(value) ? [{ key, length: value.length, value }] : [],
  );
  const [first] = lengths;
  if (first === undefined) {
    addBatch(result, findings);
    return;
  }
  const names = result.feature_names ?? result.meta.feature_names;
  const others = lengths.filter(({ length }) => length !== first.length);
  for (const { key, value } of others)
    findings.fault(["data", key], value, `must have ${first.length} values, as ${first.key} has`);
  if (names && names.length !== first.length)
    findings.fault(
      ["feature_names"],
      names,
      `must have ${first.length} names, one for each value of ${first.key}`,
    );
  addFeatures(result, { count: first.length, names: names ?? null }, findings);
}

/** The one verdict of a detector that sees all features together, or of one that reports no verdict of each. */
function addBatch({ data, meta }: Result, findings: Findings): void {
  const triggered = Boolean(data.is_drift);
  const [p, distance] = [single(data.p_val), single(data.distance)];
  const hasDistance = distance !== null && data.distance_threshold !== null;
  const measured = hasDistance
    ? scoreDistance(distance, data.distance_threshold, triggered)
    : p !== null
      ? scorePValue(p, data.threshold, triggered)
      : scoreDistance(distance, null, triggered);
  const notes = [
    ...(p === null ? [] : [`p_val ${describeComparison(p, data.threshold)}`]),
    ...(distance === null ? [] : [`distance ${describeComparison(distance, data.distance_threshold)}`]),
  ];
  findings.add(["data"], { feature: meta.name, ...measured, notes: notes.join(", ") || "verdict only" });
}

/**
 * A check of each feature. If the verdict is the batch's, a feature drifts if the batch does and its own p-value is below the
 * threshold, which is corrected for the number of features already.
 */
function addFeatures(
  result: Result,
  { count, names }: { count: number; names: readonly string[] | null },
  findings: Findings,
): void {
  const { data, meta } = result;
  const { is_drift: drift, threshold } = data;
  const checks = Array.from({ length: count }, (_, index): DetectedCheck | null => {
    const [p, distance] = [valueAt(data.p_val, index), valueAt(data.distance, index)];
    const isBelow = p === null || threshold === null ? null : p < threshold;
    const triggered = Array.isArray(drift) ? Boolean(drift[index]) : drift ? isBelow : false;
    if (triggered === null) return null;
    const notes = [
      meta.name,
      ...(p === null ? [] : [`p_val ${describeComparison(p, threshold)}`]),
      ...(distance === null ? [] : [`distance ${distance}`]),
    ];
    return {
      // The detector knows features by their position only.
      feature: names?.[index] ?? `feature ${index}`,
      ...(p === null ? scoreDistance(distance, null, triggered) : scorePValue(p, threshold, triggered)),
      notes: notes.join(", "),
    };
  });
  const known = checks.filter((check) => check !== null);
  const isExplained = Array.isArray(drift) || !drift || known.some(({ triggered }) => triggered);
  if (isExplained)
    for (const [index, check] of checks.entries()) {
      if (check === null) findings.leaveOut(["data", "p_val", index], "missing");
      else findings.add(["data"], check);
    }
  // The batch drifts, and which features do is not said.
  else addBatch(result, findings);
}

function single(value: number | null | (number | null)[]): number | null {
  return Array.isArray(value) ? null : value;
}

function valueAt(value: number | null | (number | null)[], index: number): number | null {
  return Array.isArray(value) ? (value[index] ?? null) : null;
}
