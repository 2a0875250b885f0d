import { type Evidence } from "../evidence.ts";
import type { PolicyNeeds } from "../policy.ts";
import type { ReplayedApprovals } from "./approvals.ts";
import type { BufferPast } from "./buffer-past.ts";
import type { Past, PastDecision } from "./past.ts";
import type { ReplaySettings } from "./input.ts";
import type { TrainingLog } from "./training-log.ts";
import type { VisibleChecks } from "./visible-checks.ts";

/** Returns what gather would have read at a simulated time. @param forced Who forces the decision; null for nobody. */
export function createEvidenceReader({
  past,
  needs,
  settings,
  buffer,
  log,
  checks,
  approvals,
}: {
  past: Past;
  needs: PolicyNeeds;
  settings: ReplaySettings;
  buffer: BufferPast;
  log: TrainingLog;
  checks: VisibleChecks;
  approvals: Pick<ReplayedApprovals, "read">;
}): (now: number, forced: PastDecision["forced"]) => Evidence {
  return (now, forced) => {
    const { recorded, ...seen } = checks.read(now);
    const read = buffer.read(now, needs, log.findLastSuccess(now));
    const takenAt = new Date(now).toISOString();
    const unanswered = recorded.filter(
      ({ triggered, answeredBy }) => triggered && answeredBy === null,
    ).length;
    return {
      takenAt,
      ...seen,
      window: needs.within,
      hasQuietChecks: needs.quietChecks,
      alerts: {
        ids: recorded.map(({ id }) => id),
        unanswered,
        answeredBy: [],
        failed: log.countFailed(recorded, now),
      },
      inFlight: log.findInFlight(now).map(({ decisionId, requestedAt, endedAt }) => ({
        decisionId,
        trainer: "",
        state: "running",
        since: new Date(requestedAt).toISOString(),
        until: new Date((endedAt === null ? requestedAt : now) + settings.flightLimitMs).toISOString(),
        url: null,
      })),
      buffer: read,
      isGuide: false,
      trainings: { ...log.read(now, needs), nextRows: needs.waiting ? read.size : null },
      interventions: {
        snooze: findSnooze(past, now),
        approval: approvals.read(now),
        override: forced && { id: 0, ...forced },
      },
      monitoring: findMonitoring(past, settings, checks.newestAt(), now),
      lastDecisions: [],
    };
  };
}

function findSnooze({ snoozes }: Past, at: number): Evidence["interventions"]["snooze"] {
  const own = snoozes.findLast(({ from, to }) => from <= at && at < to);
  return own ? { until: new Date(own.until).toISOString(), reason: own.reason, by: own.by } : null;
}

function findMonitoring(
  { events, firstDecisionAt }: Past,
  { expectDriftRunEvery: every }: ReplaySettings,
  newestCheckAt: number | null,
  at: number,
): Evidence["monitoring"] {
  if (every === null) return null;
  const seen = [newestCheckAt, events.findLast((time) => time <= at) ?? null].filter((time) => time !== null);
  const lastSeenAt = seen.length === 0 ? null : new Date(Math.max(...seen)).toISOString();
  return {
    lastSeenAt,
    since: lastSeenAt ?? new Date(Math.min(firstDecisionAt ?? at, at)).toISOString(),
    every,
  };
}
