import { z } from "zod";
import { toMs } from "./duration.ts";
import type { Evidence } from "./evidence.ts";

/** Whether drift monitoring is still running, as far as the settings expect it to. */
export const DriftRuns = z.object({
  state: z.enum(["seen", "missing"]),
  /** When a drift check or an event was last seen, ISO 8601; null if never. */
  lastSeenAt: z.string().nullable(),
  /** How often one is expected, as a duration. */
  every: z.string(),
  /** When the next one is or was due, ISO 8601. */
  dueAt: z.string(),
});
export type DriftRuns = z.infer<typeof DriftRuns>;

/** Judges whether drift runs are missing at an instant (Unix milliseconds); null if none are expected. */
export function judgeDriftRuns({ monitoring }: Pick<Evidence, "monitoring">, now: number): DriftRuns | null {
  if (monitoring === null) return null;
  const { lastSeenAt, since, every } = monitoring;
  const dueAt = Date.parse(since) + toMs(every);
  return {
    state: now < dueAt ? "seen" : "missing",
    lastSeenAt,
    every,
    dueAt: new Date(dueAt).toISOString(),
  };
}

/** When drift runs will be missing if none comes, Unix milliseconds; null if none are expected or they are missing already. */
export function findDriftRunsDue(evidence: Pick<Evidence, "monitoring">, now: number): number | null {
  const runs = judgeDriftRuns(evidence, now);
  return runs?.state === "seen" ? Date.parse(runs.dueAt) : null;
}
