import type { Evaluated, StageJob } from "../queues/jobs.ts";
import type { Notify } from "../queues/notifications.ts";
import { planApproval } from "../src/core/approval-plan.ts";
import { announceApproval, announceMissingRuns, announceRunsBack } from "../src/core/report/announce.ts";

/** Notifies of what a recorded decision found besides its verdict: it awaits an approval, or drift runs are missing or back. */
export async function announceState(
  notify: Notify,
  { model, runId }: StageJob,
  { evidence, policy, verdict }: Evaluated,
  decisionId: number,
): Promise<void> {
  const ids = { model, runId, decisionId };
  const { requestForMs } = planApproval(evidence, policy, verdict);
  if (requestForMs !== null) {
    const until = new Date(Date.parse(evidence.takenAt) + requestForMs).toISOString();
    const text = announceApproval({ model, decisionId }, { until, reason: verdict.reason });
    await notify({ ...ids, kind: "approval_requested", text });
  }
  const runs = verdict.explanation?.driftRuns ?? null;
  if (runs === null) return;
  const before = evidence.lastDecisions[0]?.driftRuns ?? "seen";
  if (runs.state === "missing" && before !== "missing")
    await notify({
      ...ids,
      kind: "drift_runs_missing",
      text: announceMissingRuns(model, runs.lastSeenAt, runs.every),
    });
  if (runs.state === "seen" && before === "missing")
    await notify({ ...ids, kind: "drift_runs_back", text: announceRunsBack(model, runs.lastSeenAt) });
}
