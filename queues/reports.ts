import { z } from "zod";
import { PermanentError } from "../src/core/errors.ts";
import { parseJson } from "../src/core/parse.ts";
import { IsoTime, PlainText, toInstant } from "./jobs.ts";

const NUMBER_EXPECTED = "must be a number";
const SAMPLES_EXPECTED = "must be a whole number, at least 0";
const TEXT_EXPECTED = "must be a text of 1 to 200 characters";
const NOTES_EXPECTED = "must be a text of at most 500 characters, without control characters";

/** A time that is far ahead is a mistake: its check would be the newest for years. */
const ReportedTime = IsoTime.refine((time) => toInstant(time).getTime() < Date.now() + 86_400_000, {
  error: "must not be more than a day ahead",
});

/** A drift check as a detector reports it. Unknown fields are ignored. */
export const ReportedCheck = z
  .object(
    {
      feature: z.string({ error: TEXT_EXPECTED }).pipe(PlainText),
      /** Higher means more drift. A detector that reports only a verdict has none. */
      score: z.number({ error: NUMBER_EXPECTED }).nullish(),
      threshold: z.number({ error: NUMBER_EXPECTED }).nullish(),
      /** Whether it is an alert; by default if the score is above the threshold. */
      triggered: z.boolean({ error: "must be true or false" }).nullish(),
      samples: z.int({ error: SAMPLES_EXPECTED }).min(0, SAMPLES_EXPECTED).nullish(),
      /** When it was made; now by default. */
      checkedAt: ReportedTime.nullish(),
      /** What else the detector says, for people. */
      notes: z
        .string({ error: NOTES_EXPECTED })
        .regex(/^[^\p{Cc}\p{Cs}]{0,500}$/u, NOTES_EXPECTED)
        .nullish(),
    },
    { error: "must be an object with feature and score" },
  )
  .refine(({ score, triggered }) => (score ?? triggered ?? null) !== null, {
    path: ["score"],
    error: `${NUMBER_EXPECTED}, or else triggered must be given`,
    abort: true,
  })
  .refine(({ threshold, triggered }) => (threshold ?? triggered ?? null) !== null, {
    path: ["threshold"],
    error: "must be given, or else triggered: otherwise the check could not be an alert",
  });
export type ReportedCheck = z.infer<typeof ReportedCheck>;

/** New data as a pipeline reports it. */
export const ReportedGrowth = z.object({
  rows: z
    .int({ error: "must be a whole number of rows" })
    .min(1, "must be at least 1")
    .max(1e12, "must be at most 1e12"),
  batch: PlainText.nullish(),
  /** The report's own id: the same id twice is one report. */
  id: PlainText.nullish(),
  /** When it arrived; now by default. */
  at: ReportedTime.nullish(),
});
export type ReportedGrowth = z.infer<typeof ReportedGrowth>;

const SHOWN_FAULTS = 20;

/**
 * Parses a report of checks: a JSON array, or one JSON object a line.
 *
 * @param runId The drift run's id if it is known: then each feature may occur only once.
 * @throws PermanentError that names every fault, with the check's position.
 */
export function parseChecks(text: string, runId: string | null): ReportedCheck[] {
  const faults: string[] = [];
  const checks = readList(text, faults).flatMap((value, index) => {
    const parsed = ReportedCheck.safeParse(value);
    if (parsed.success) return [parsed.data];
    for (const { path, message } of parsed.error.issues)
      faults.push(`${[`checks[${index}]`, ...path].join(".")} ${message}`);
    return [];
  });
  if (faults.length === 0 && checks.length === 0) faults.push("it contains no check");
  if (runId !== null) {
    for (const { index, feature } of findRepeated(checks))
      faults.push(
        `checks[${index}].feature is ${JSON.stringify(feature)} again: a run has one check of each feature`,
      );
  }
  if (faults.length === 0) return checks;
  const shown = faults.slice(0, SHOWN_FAULTS).map((fault) => `  - ${fault}`);
  if (faults.length > shown.length) shown.push(`  - … and ${faults.length - shown.length} more`);
  throw new PermanentError("BAD_INPUT", `${faults.length} fault(s) in the report:\n${shown.join("\n")}`);
}

/** The checks whose feature an earlier one of the list has. */
export function findRepeated(checks: readonly ReportedCheck[]): { index: number; feature: string }[] {
  const names = checks.map(({ feature }) => feature);
  return names.flatMap((feature, index) => (names.indexOf(feature) < index ? [{ index, feature }] : []));
}

function readList(text: string, faults: string[]): unknown[] {
  const whole = parseJson(text);
  if (whole !== undefined) return Array.isArray(whole) ? whole : [whole];
  if (text.trimStart().startsWith("[")) {
    faults.push("it is not a complete JSON array");
    return [];
  }
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const value = parseJson(line);
    if (value === undefined)
      faults.push(`line ${index + 1} is not JSON: expected an object a line, or one array`);
    return value === undefined ? [] : [value];
  });
}
