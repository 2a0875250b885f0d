import { z } from "zod";

/** The path to which a receiver sends the outcome of a training. */
export function outcomePath(key: string): string {
  return `/api/v1/trainings/${key}/outcome`;
}

/** A URL that is shown to people as a link. */
export const webUrl = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .regex(/^\P{Cc}*$/u, "must not contain control characters")
  .refine((text) => !/^\w+:\/*[^/]*@/.test(text), "must not contain a user name or password");

/** A training's status as a receiver reports it in responses and callbacks, in GitHub's vocabulary. */
export const Outcome = z.object({
  status: z.string().min(1).max(100).default("completed"),
  conclusion: z.string().min(1).max(100).nullish(),
  url: webUrl.nullish(),
  duration_seconds: z.number().nonnegative().nullish(),
});

export type Outcome = z.infer<typeof Outcome>;

/** Status responses must name the status, so that an unrelated response does not end a training. */
export const Status = Outcome.extend({ status: z.string().min(1).max(100) });

export function toStatus({ status, conclusion, url, duration_seconds: durationSeconds }: Outcome) {
  return {
    status,
    conclusion: conclusion ?? null,
    attempt: null,
    url: url ?? null,
    durationSeconds: durationSeconds ?? null,
  };
}
