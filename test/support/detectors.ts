import { readFileSync } from "node:fs";
import type fc from "fast-check";
import { PermanentError } from "../../src/core/errors.ts";
import type { Detector, DetectorReport } from "../../src/detectors/detector.ts";
import { DETECTORS } from "../../src/detectors/registry.ts";

/** Documents in the shapes that the detectors document; their names begin with the detector's. */
export const FIXTURES = "test/fixtures/detectors";

export type Json = fc.JsonValue;

export const readFixture = (name: string): Json =>
  JSON.parse(readFileSync(`${FIXTURES}/${name}.json`, "utf8")) as Json;

export function detectorOf(name: string): Detector {
  const detector = DETECTORS.find((other) => name.startsWith(other.name));
  if (!detector) throw new Error(`No detector of ${name}`);
  return detector;
}

export const parseFixture = (name: string): DetectorReport => detectorOf(name).parse(readFixture(name));

/** One line a check: feature, score, threshold, whether it is drift. */
export const show = ({ checks }: DetectorReport): unknown[][] =>
  checks.map(({ feature, score, threshold, triggered }) => [feature, score, threshold, triggered]);

/** The message with which a document is refused. */
export function faultOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (error instanceof PermanentError && error.code === "BAD_INPUT") return error.message;
    throw error;
  }
  return "no fault";
}

/** The score of a p-value of 0.05. */
export const LOG_05 = -Math.log10(0.05);
