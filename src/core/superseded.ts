import { z } from "zod";

/** Why a run records nothing: another decision came after its snapshot, or its snapshot is too old to be acted on. */
export const Superseded = z.enum(["newer_decision", "stale_evidence"]);
export type Superseded = z.infer<typeof Superseded>;
