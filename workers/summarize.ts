import type { ReportInput } from "../src/core/report.ts";
import { summarizeDecision } from "../src/decision-summary.ts";
import type { Acted, DecisionSummary, Recording, StageJob } from "../queues/jobs.ts";
import type { StageOutput } from "./stage.ts";

type RecordedByRun = Extract<Recording, { outcome: "recorded" }>;

/** Tells the decision: the report, and every figure of it as one object. Pure: told again, it is the same. */
export function createSummarize({ timeZone }: { timeZone: string }) {
  return (job: StageJob, acted: Acted): StageOutput<DecisionSummary> => {
    const { recording } = acted;
    const input = toReportInput(job, acted, timeZone);
    const result = summarizeDecision(
      input,
      recording.outcome === "recorded"
        ? { decision: recording.decision, dispatch: toDispatch(recording) }
        : { decision: "superseded", dispatch: null },
    );
    return { result, log: result.report };
  };
}

function toDispatch({ trainer, request, dispatch }: RecordedByRun): DecisionSummary["dispatch"] {
  return request && { trainer, state: dispatch, request };
}

/** What act found out, as the report tells it. */
export function toReportInput({ model, runId }: StageJob, acted: Acted, timeZone: string): ReportInput {
  const { evidence, policy, verdict, recording } = acted;
  const isRecorded = recording.outcome === "recorded";
  return {
    model,
    runId,
    evidence,
    policy,
    verdict,
    request: isRecorded ? recording.request : null,
    recorded: isRecorded
      ? {
          id: recording.decisionId,
          decidedAt: recording.decidedAt,
          decision: recording.decision,
          bufferSize: evidence.buffer.size,
          driftScore: verdict.driftScore,
        }
      : null,
    supersededBy: isRecorded ? null : recording.followUpRunId,
    timeZone,
  };
}
