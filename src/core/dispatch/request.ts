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

/** An HTTP request as it is recorded and shown: a secret is represented by the name of its setting. */
export const HttpRequest = z.object({
  // Earlier versions recorded requests without it.
  kind: z.literal("http").default("http"),
  method: z.literal("POST"),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.record(z.string(), z.json()),
});
export type HttpRequest = z.infer<typeof HttpRequest>;

/** A program and its arguments, which no shell reads. */
export const CommandRequest = z.object({
  kind: z.literal("command").default("command"),
  command: z.array(z.string()).min(1),
  workingDirectory: z.string(),
});
export type CommandRequest = z.infer<typeof CommandRequest>;

/** The complete request to a trainer, recorded before it is sent and shown afterwards. */
export const DispatchRequest = z.union([HttpRequest, CommandRequest]);
export type DispatchRequest = z.infer<typeof DispatchRequest>;
