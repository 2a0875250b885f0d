import type { Evidence } from "../src/core/evidence.ts";
import { renderFindings } from "../src/core/report/report.ts";
import type { ModelConfig } from "../src/config/config.ts";
import type { Gathered, StageJob } from "../queues/jobs.ts";
import { createReadings, QUICK_LIMIT_MS, SLOW_READINGS } from "./evidence-reader.ts";
import type { StageOutput, StagePause } from "./stage.ts";

export interface GatherDependencies {
  findModel(model: string): ModelConfig;
  /** @throws TransientError READING_TOO_SLOW if Postgres cancelled the query at its limit. */
  fetchEvidence(model: string, config: ModelConfig, limitMs: number): Promise<Evidence>;
  timeZone: string;
}

/** How long a run waits before it tries again for a slot. */
const NO_SLOT_PAUSE_MS = 3_000;

/**
 * Reads one snapshot of all the evidence, and fixes the policy to evaluate it against. A model whose database is slow may
 * have to wait for a slot; its run keeps the decision lock meanwhile.
 */
export function createGather({ findModel, fetchEvidence, timeZone }: GatherDependencies) {
  const read = createReadings({ fetchEvidence, now: () => performance.now() });
  return async ({ model }: StageJob): Promise<StageOutput<Gathered> | StagePause> => {
    const config = findModel(model);
    const { policy } = config;
    const reading = await read(model, config);
    switch (reading.outcome) {
      case "read": {
        const { evidence } = reading;
        return { result: { evidence, policy }, log: renderFindings({ evidence, policy, timeZone }) };
      }
      case "no_slot":
        return {
          pauseMs: Math.round(NO_SLOT_PAUSE_MS * (0.75 + Math.random() / 2)),
          keepsLock: true,
          log: NO_SLOT,
        };
      default:
        return reading satisfies never;
    }
  };
}

const NO_SLOT = `⏳ The last reading of this model took more than ${QUICK_LIMIT_MS / 1000} s, and ${SLOW_READINGS} other slow readings are under way: waiting for one of them to end`;
