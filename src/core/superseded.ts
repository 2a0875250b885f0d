import { z } from "zod";

/**
 * Why a run records nothing: another decision was recorded after its snapshot, its snapshot is too old to act on, the
 * training that blocked the decision has ended meanwhile, or other models have spent the budget of all models meanwhile.
 */
export const Superseded = z.enum(["newer_decision", "stale_evidence", "training_ended", "budget_spent"]);
export type Superseded = z.infer<typeof Superseded>;
