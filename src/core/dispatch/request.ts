import { z } from "zod";

/** What a trainer needs to know about a `trigger` decision. */
export const TrainingOrder = z.object({
  /** The run's id: the key that links a training to this decision. */
  runId: z.string(),
  model: z.string(),
  reason: z.string(),
  driftScore: z.number().nullable(),
  bufferSize: z.number().int(),
});
export type TrainingOrder = z.infer<typeof TrainingOrder>;

/** An HTTP request as it is recorded and shown, with the name of its setting in place of each secret. */
export const HttpRequest = z.object({
  // Recorded requests have none: see `toRecorded`.
  kind: z.literal("http").default("http"),
  method: z.literal("POST"),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.record(z.string(), z.json()),
});
export type HttpRequest = z.infer<typeof HttpRequest>;

/** A program and its arguments, which no shell interprets. */
export const CommandRequest = z.object({
  kind: z.literal("command").default("command"),
  command: z.array(z.string()).min(1),
  workingDirectory: z.string(),
});
export type CommandRequest = z.infer<typeof CommandRequest>;

/** The complete request to a trainer, recorded before it is sent and shown afterwards. */
export const DispatchRequest = z.union([HttpRequest, CommandRequest]);
export type DispatchRequest = z.infer<typeof DispatchRequest>;

/** A request as it is recorded and compared: without its `kind`, which follows from its fields. */
export function toRecorded(request: DispatchRequest): object {
  return { ...request, kind: undefined };
}
