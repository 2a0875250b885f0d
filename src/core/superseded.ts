import { z } from "zod";

/**
 * Why a run records nothing: another decision came after its snapshot, its snapshot is too old to act on, or the training
 * that held the decision back has ended since.
 */
export const Superseded = z.enum(["newer_decision", "stale_evidence", "training_ended"]);
export type Superseded = z.infer<typeof Superseded>;
