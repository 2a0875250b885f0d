import { z } from "zod";

/** What a trainer needs to know of a `trigger` decision. */
export const TrainingOrder = z.object({
  /** The run's id: the key by which a training is recognised as this decision's. */
  runId: z.string(),
  reason: z.string(),
  driftScore: z.number().nullable(),
  bufferSize: z.number().int(),
});
export type TrainingOrder = z.infer<typeof TrainingOrder>;

/** An HTTP request as it is recorded and shown. Secrets stand in it as the name of the setting that holds them. */
export const DispatchRequest = z.object({
  method: z.literal("POST"),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.object({ ref: z.string(), inputs: z.record(z.string(), z.string()) }),
});
export type DispatchRequest = z.infer<typeof DispatchRequest>;
