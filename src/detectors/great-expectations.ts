import { z } from "zod";
import type { DetectedCheck, Detector } from "./detector.ts";
import { createFindings, Figure, type Findings, isRecord } from "./findings.ts";
import { describeComparison, scoreDistance } from "./scores.ts";

/**
 * Great Expectations: the result of a suite. A failed expectation says that data are not as expected, which need not be
 * drift; all the same each expectation becomes a check, so that a policy can weigh those that it names.
 */
export const greatExpectations: Detector = {
  name: "great-expectations",
  title: "Great Expectations",
  versions: "the validation result of a suite, of 1.x",
  parse(document) {
    const findings = createFindings("Great Expectations result");
    if (isRecord(document) && Array.isArray(document["results"])) {
      refuseOldVersion(document["meta"], findings);
      const names = new Map<string, number>();
      for (const [index, value] of document["results"].entries())
        readResult(value, ["results", index], names, findings);
    } else
      findings.fault(
        [],
        document,
        "expected the validation result of one suite, an object with the list results; of a checkpoint, send each of its results",
      );
    return findings.finish("the suite has no expectations");
  },
};

type Path = readonly (string | number)[];

function refuseOldVersion(meta: unknown, findings: Findings): void {
  const version = isRecord(meta) ? meta["great_expectations_version"] : undefined;
  if (version !== undefined && !(typeof version === "string" && version.startsWith("1.")))
    findings.fault(
      ["meta", "great_expectations_version"],
      version,
      "expected 1.x: other versions are unknown",
    );
}

const Text = z.string({ error: "must be a text" });

const Result = z.looseObject(
  {
    success: z.boolean({ error: "must be true or false" }),
    expectation_config: z.looseObject(
      {
        type: z
          .string({ error: "must be the type of an expectation, as version 1.x writes it" })
          .regex(/^\w+$/, "must be the type of an expectation: letters, digits and underscores"),
        kwargs: z.looseObject(
          {
            column: Text.nullish(),
            column_A: Text.nullish(),
            column_B: Text.nullish(),
            column_list: z.array(Text, { error: "must be a list of columns" }).nullish(),
            mostly: Figure,
          },
          { error: "must be an object" },
        ),
      },
      { error: "must be an object with type and kwargs" },
    ),
    result: z.looseObject({ unexpected_percent: Figure }, { error: "must be an object" }).nullish(),
  },
  { error: "must be an object with success and expectation_config" },
);
type Result = z.infer<typeof Result>;

function readResult(value: unknown, path: Path, names: Map<string, number>, findings: Findings): void {
  const result = findings.read(Result, value, path);
  if (result === null) return;
  const { type } = result.expectation_config;
  const name = nameOf(result);
  // The same expectation twice, with other parameters.
  const count = (names.get(name) ?? 0) + 1;
  names.set(name, count);
  if (hasRaised(result["exception_info"])) {
    findings.leaveOut(path, `${name} could not be evaluated`);
    return;
  }
  const measured =
    type === "expect_column_kl_divergence_to_be_less_than"
      ? readDivergence(result, path, findings)
      : measure(result);
  if (measured !== null)
    findings.add(path, { feature: count === 1 ? name : `${name} (${count})`, ...measured });
}

/** `<columns>: <type>`, or the type of an expectation of the whole table. */
function nameOf({ expectation_config: { type, kwargs } }: Result): string {
  const { column, column_A: first, column_B: second, column_list: list } = kwargs;
  const columns = [column, first, second, ...(list ?? [])].filter(
    (name) => name !== null && name !== undefined,
  );
  return columns.length === 0 ? type : `${columns.join(", ")}: ${type}`;
}

/** Whether an expectation raised an exception; the info is that of the expectation, or of each of its metrics. */
function hasRaised(info: unknown): boolean {
  if (!isRecord(info)) return false;
  return [info, ...Object.values(info)].some((part) => isRecord(part) && part["raised_exception"] === true);
}

type Verdict = Omit<DetectedCheck, "feature">;

/** The percentage of unexpected values, beside the one that `mostly` allows; without one, 1 for a failure and 0 for none. */
function measure({ success, expectation_config: { kwargs }, result }: Result): Verdict {
  const percent = result?.unexpected_percent ?? null;
  const triggered = !success;
  const verdict = success ? "met" : "not met";
  if (percent === null) return { score: triggered ? 1 : 0, threshold: null, triggered, notes: verdict };
  const allowed = kwargs.mostly === null ? null : 100 - 100 * kwargs.mostly;
  return {
    ...scoreDistance(percent, allowed, triggered),
    notes: `${verdict}: unexpected values, in percent: ${describeComparison(percent, allowed)}`,
  };
}

const Divergence = z.looseObject({
  expectation_config: z.looseObject({ kwargs: z.looseObject({ threshold: Figure }) }),
  result: z.looseObject({ observed_value: Figure }).nullish(),
});

/** A drift check: the divergence itself, and its threshold. */
function readDivergence(expectation: Result, path: Path, findings: Findings): Verdict | null {
  const divergence = findings.read(Divergence, expectation, path);
  if (divergence === null) return null;
  const value = divergence.result?.observed_value ?? null;
  const { threshold } = divergence.expectation_config.kwargs;
  return {
    ...scoreDistance(value, threshold, !expectation.success),
    notes: `KL divergence ${describeComparison(value, threshold)}`,
  };
}
