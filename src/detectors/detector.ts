import type { ReportedCheck } from "../../queues/reports.ts";

/** A drift check that a detector has made. The verdict is always explicit, because the direction depends on the method. */
export interface DetectedCheck extends ReportedCheck {
  /** Higher means more drift; null if the detector says no more than its verdict. See `scores.ts`. */
  score: number | null;
  threshold: number | null;
  triggered: boolean;
  /** The detector's own figures: `K-S p_value 0.001 < 0.05`. */
  notes: string;
}

export interface DetectorReport {
  /** Each feature once. */
  checks: DetectedCheck[];
  /** What else the document contained, for people. */
  ignored: string[];
}

/** A tool whose reports are understood. */
export interface Detector {
  /** Kebab-case, as in URLs and options. */
  name: string;
  title: string;
  /** Which versions and documents are understood, for the documentation. */
  versions: string;
  /**
   * Turns a document that the detector wrote into checks.
   * @throws PermanentError (`BAD_INPUT`) that names every field, method or version that is not understood.
   */
  parse(document: unknown): DetectorReport;
}
