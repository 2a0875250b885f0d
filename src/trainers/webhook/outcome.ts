import { z } from "zod";

/** The path to which a receiver sends the outcome of a training. */
export function outcomePath(key: string): string {
  return `/api/v1/trainings/${key}/outcome`;
}

const CONTROLS = "must not contain control characters";

/** A URL that is shown to people as a link. */
export const webUrl = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .regex(/^\P{Cc}*$/u, CONTROLS)
  .refine((text) => !/^\w+:\/*[^/]*@/.test(text), "must not contain a user name or password");

const toWord = (text: z.ZodString) =>
  text
    .min(1)
    .max(100)
    .regex(/^\P{Cc}*$/u, CONTROLS);

/** A training's status as a receiver reports it in responses and callbacks, in GitHub's vocabulary. */
export const Outcome = z.object({
  // Never assumed: a body that says nothing else must not end a training.
  status: toWord(z.string('must be "completed", or "in_progress" while the training runs')),
  conclusion: toWord(z.string()).nullish(),
  url: webUrl.nullish(),
  duration_seconds: z.number().nonnegative().nullish(),
});

export type Outcome = z.infer<typeof Outcome>;

export function toStatus({ status, conclusion, url, duration_seconds: durationSeconds }: Outcome) {
  return {
    status,
    conclusion: conclusion ?? null,
    attempt: null,
    url: url ?? null,
    durationSeconds: durationSeconds ?? null,
  };
}
