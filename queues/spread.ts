import { createHash } from "node:crypto";

/**
 * How much later than its cron pattern says a model's schedule fires, in milliseconds from 0 to below `spreadMs`: a hash of
 * the model's name, so that models with the same pattern are spread evenly, and each keeps its place.
 */
export function computeSpreadOffsetMs(model: string, spreadMs: number): number {
  if (spreadMs <= 0) return 0;
  // 48 bits: a spread of weeks has 2^31 milliseconds, so that the remainders are as good as evenly distributed.
  const hash = createHash("sha256").update(model).digest().readUIntBE(0, 6);
  return hash % spreadMs;
}
