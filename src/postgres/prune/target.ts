import type { PruneNeeds } from "../../core/prune-needs.ts";

/** A model that is pruned, and what is kept of it. */
export interface PruneTarget {
  model: string;
  trainer: string;
  needs: PruneNeeds;
  /** ISO 8601: what is older may go. */
  before: string;
}
