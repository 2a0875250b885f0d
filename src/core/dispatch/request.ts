import { z } from "zod";

/** What a trainer needs to know of a `trigger` decision. */
export const TrainingOrder = z.object({
  /** The run's id: the key by which a training is recognised as this decision's. */
  runId: z.string(),
  model: z.string(),
  reason: z.string(),
  driftScore: z.number().nullable(),
  bufferSize: z.number().int(),
});
export type TrainingOrder = z.infer<typeof TrainingOrder>;

/** An HTTP request as it is recorded and shown. Secrets stand in it as the name of the setting that holds them. */
export const HttpRequest = z.object({
  method: z.literal("POST"),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.record(z.string(), z.json()),
});
export type HttpRequest = z.infer<typeof HttpRequest>;

/** A program as it is run: no shell reads its arguments. */
export const CommandRequest = z.object({
  command: z.array(z.string()).min(1),
  workingDirectory: z.string(),
});
export type CommandRequest = z.infer<typeof CommandRequest>;

/** What a trainer is asked, in full, so that it can be recorded before and shown after. */
export const DispatchRequest = z.union([HttpRequest, CommandRequest]);
export type DispatchRequest = z.infer<typeof DispatchRequest>;
