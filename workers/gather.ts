import type { Evidence } from "../src/core/evidence.ts";
import { renderFindings } from "../src/core/report.ts";
import type { ModelConfig } from "../src/config.ts";
import type { Gathered, StageJob } from "../queues/jobs.ts";
import type { StageOutput } from "./stage.ts";

export interface GatherDependencies {
  findModel(model: string): ModelConfig;
  fetchEvidence(model: string, config: ModelConfig): Promise<Evidence>;
  timeZone: string;
}

/** Reads one snapshot of everything that the decision weighs, and fixes the policy that it is weighed by. */
export function createGather({ findModel, fetchEvidence, timeZone }: GatherDependencies) {
  return async ({ model }: StageJob): Promise<StageOutput<Gathered>> => {
    const config = findModel(model);
    const { policy } = config;
    const evidence = await fetchEvidence(model, config);
    return { result: { evidence, policy }, log: renderFindings({ evidence, policy, timeZone }) };
  };
}
