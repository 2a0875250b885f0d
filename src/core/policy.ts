import { z } from "zod";

/** The thresholds and guards by which one model's evidence is weighed. */
export const Policy = z.strictObject({
  /** Ratings that the buffer must hold; exactly this many is enough. */
  minBufferSize: z.number().int().nonnegative(),
  /** Drift checks older than this many hours, seen from the database's clock, do not count. */
  lookbackHours: z.number().int().positive(),
  /** Triggered alerts that the window must hold; exactly this many is enough. */
  minAlertsTriggered: z.number().int().positive(),
  /** Whether an alert that a training already answered may start no second one. */
  retriggerGuard: z.boolean(),
  /** Whether nothing is triggered while a training of the model is under way. */
  inFlightGuard: z.boolean().default(true),
  /** For so long a failed training keeps its alerts, twice as long after each further failure. */
  backoffSeconds: z.number().int().positive().default(3_600),
});
export type Policy = z.infer<typeof Policy>;
