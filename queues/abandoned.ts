import { z } from "zod";
import { STAGES } from "./names.ts";

/**
 * The result of each later stage of a run that lost a job: the job of stage `removed` was deleted, in Bull Board or by the
 * retention limits, before it had a result.
 */
export const Abandoned = z.strictObject({ outcome: z.literal("abandoned"), removed: z.enum(STAGES) });
export type Abandoned = z.infer<typeof Abandoned>;

/** Describes an abandoned run in logs and errors. */
export function describeAbandoned(runId: string, { removed }: Abandoned): string {
  const decision =
    removed === "act"
      ? "It may have recorded its decision: npx retrigger history"
      : "It decided nothing. Events that waited for it are decided within the hour, or at once with: npx retrigger decide";
  return `Run ${runId} was abandoned: its ${removed} job was removed before it had a result. ${decision}`;
}
