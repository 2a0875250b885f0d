import type { Evidence } from "../evidence.ts";

/** When a change happens, and where it finds what it acts on. */
export interface ChangeContext {
  /** Unix milliseconds. */
  at: number;
  /** The evidence before any change: what the change acts on, such as a feature, is found there. */
  original: Evidence;
}

/**
 * A change of the evidence by one figure, with which the verdict might turn. The larger the figure, the likelier. Levers with
 * the same id are the same lever: one change may serve several criteria.
 */
export interface Lever {
  id: string;
  /** The check that it acts on, by its id. */
  check: string;
  /** `count`: whole numbers from 1. `figure`: any number from 0. `switch`: it has no size. */
  kind: "count" | "figure" | "switch";
  /** The largest change that makes sense; 0 if the lever has nothing to move. */
  limit(evidence: Evidence): number;
  /** For a figure: about how large it must be, which saves a search. */
  guess?(evidence: Evidence): number;
  /** The evidence after the change. */
  apply(evidence: Evidence, size: number, context: ChangeContext): Evidence;
  /** "12,400 more ratings". */
  describe(size: number, evidence: Evidence): string;
  /** What the size is measured against, to tell near from far. */
  scale: number;
}
