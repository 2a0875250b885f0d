import { z } from "zod";

/**
 * What is wrong with a recorded decision. `changed`: its row is not what was recorded. `removed`, `inserted`: rows are missing, or
 * were not written by the service. `verdict`: it does not follow from its evidence and policy. `head`: a head that was kept
 * elsewhere is not the row's.
 */
export const VerificationFault = z.object({
  kind: z.enum(["changed", "removed", "inserted", "verdict", "head"]),
  model: z.string(),
  /** The decision at fault; null for removed ones whose number is not known. */
  decisionId: z.int().nullable(),
  /** For people, beginning with the decision's number. */
  text: z.string(),
});
export type VerificationFault = z.infer<typeof VerificationFault>;
