import type { Gathered, StageJob } from "../queues/jobs.ts";
import type { ModelConfig } from "../src/config/config.ts";
import type { Database } from "../src/postgres/database.ts";
import { createEvidenceReader, QUICK_LIMIT_MS, SLOW_SLOTS } from "./evidence-reader.ts";
import { describeNoShadow } from "./judge-shadow.ts";
import type { StageOutput, StagePause } from "./stage.ts";

export interface GatherDependencies {
  /** @throws PermanentError for a model that the settings never named; one that a reload removed ends its run. */
  findForRun(model: string): ModelConfig;
  database: Pick<Database, "gatherEvidence">;
}

/** How long a run waits before it tries again to get a slot. */
const NO_SLOT_PAUSE_MS = 3_000;

/**
 * Reads all the evidence in one snapshot, and pins the policy, and its shadow, to evaluate it against. A model whose database is slow may
 * have to wait for a slot; its run keeps the decision lock in the meantime.
 */
export function createGather({ findForRun, database }: GatherDependencies) {
  const read = createEvidenceReader({
    gatherEvidence: database.gatherEvidence,
    now: () => performance.now(),
  });
  return async ({ model }: StageJob): Promise<StageOutput<Gathered> | StagePause> => {
    const config = findForRun(model);
    const { policy, shadow } = config;
    const reading = await read(model, config);
    switch (reading.outcome) {
      case "read": {
        const { evidence, seen, shadowProblem } = reading;
        const pinned = shadow && seen && { policy: shadow, seen };
        const result = { evidence, policy, shadow: pinned };
        if (shadowProblem === null) return { kind: "done", result };
        return { kind: "done", result, log: describeNoShadow(shadowProblem.message) };
      }
      case "no_slot":
        return {
          kind: "pause",
          pauseMs: Math.round(NO_SLOT_PAUSE_MS * (0.75 + Math.random() / 2)),
          keepsLock: true,
          why: NO_SLOT,
          log: `⏳ ${NO_SLOT}`,
        };
      default:
        return reading satisfies never;
    }
  };
}

const NO_SLOT = `The last read of this model's evidence took more than ${QUICK_LIMIT_MS / 1000} s, and all ${SLOW_SLOTS} slots for slow models are taken: waiting for one`;
