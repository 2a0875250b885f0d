import type { IntakeResult } from "../../queues/jobs.ts";
import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";

/** One training, as recorded by the trainer itself. */
interface StartedTraining {
  /** The id of the run that requested it. */
  key: string;
  /** Unix milliseconds. */
  askedAt: number;
}

/** Everything that a run of the fault suite left behind. Times are Unix milliseconds. */
export interface Observation {
  /** The events as their producer sent them. */
  sent: { eventRunId: string; sentAt: number; job: JobEnd | null }[];
  /** Results of the chains that are in Redis, by run. */
  summaries: Map<string, DecisionSummary>;
  /** Jobs of any queue that failed for good or never ended: "act 0190… failed: …". */
  brokenJobs: string[];
  events: { eventRunId: string; receivedAt: number; runId: string | null }[];
  /** In the order of their ids. */
  decisions: ObservedDecision[];
  dispatches: ObservedDispatch[];
  trainings: StartedTraining[];
  /** Violations of GitHub's own description of its API by our requests. */
  contractFaults: string[];
  /** Whether the trainer may start two trainings for one request, which must then be recorded. */
  doublesRuns: boolean;
  /** Ids of the delayed jobs that re-evaluate a model at the time given by its latest decision. */
  pendingFollowUps: string[];
  /** Redis keys of locks and follow-ups that remain. */
  keysLeft: string[];
  /** Whether an alert may start only one training. */
  hasGuard: boolean;
  /** Whether Redis was emptied, or replaced by a server without its last writes. Then events that are not in Postgres may be gone. */
  mayRedisForget: boolean;
  /** Worker processes that ended on their own, and connections that stayed open. */
  leaks: string[];
  /** What `retrigger verify --all` finds. */
  unverified: string[];
}

interface JobEnd {
  state: string;
  result: IntakeResult | null;
}

interface ObservedDispatch {
  decisionId: number;
  state: string;
  askedAt: number | null;
  /** Further trainings for the same request that were noticed. */
  extraRuns: string[];
}

export interface ObservedDecision {
  id: number;
  runId: string;
  decision: string;
  previousId: number | null;
  /** The last decision that the evidence saw. */
  seenId: number | null;
  takenAt: number;
  alertIds: string[];
  reasonCodes: string[];
  /** Whether it gives a time for its re-evaluation. */
  needsFollowUp: boolean;
  isComplete: boolean;
}

/** The invariants that a fault may break, as the table counts them. */
export const VIOLATIONS = [
  "duplicate decision",
  "duplicate dispatch",
  "lost event",
  "stuck model",
  "broken decision",
  "broken job",
  "broken contract",
  "leak",
] as const;

export interface Violation {
  kind: (typeof VIOLATIONS)[number];
  text: string;
}

/** Checks every invariant against what a run left behind. */
export function audit(observation: Observation): Violation[] {
  return [
    ...auditDecisions(observation),
    ...auditDispatches(observation),
    ...auditEvents(observation),
    ...auditLatest(observation),
    ...observation.unverified.map((text) => ({ kind: "broken decision", text }) as const),
    ...observation.brokenJobs.map((text) => ({ kind: "broken job", text }) as const),
    ...observation.contractFaults.map((text) => ({ kind: "broken contract", text }) as const),
    ...[...observation.leaks, ...observation.keysLeft.map((key) => `${key} is left in Redis`)].map(
      (text) => ({ kind: "leak", text }) as const,
    ),
  ];
}

/** Invariants 2 and 4: one chain in which each decision saw the previous one, and one decision per run. */
function auditDecisions({ decisions, summaries }: Observation): Violation[] {
  const violations: Violation[] = [];
  for (const [index, { id, runId, previousId, seenId, isComplete }] of decisions.entries()) {
    const before = decisions[index - 1]?.id ?? null;
    if (previousId !== before || seenId !== before) {
      const text = `#${id} saw #${seenId} and names #${previousId} as the previous one, which is #${before}`;
      violations.push({ kind: "duplicate decision", text });
    }
    if (decisions.findIndex((other) => other.runId === runId) !== index)
      violations.push({ kind: "duplicate decision", text: `run ${runId} decided twice, again as #${id}` });
    if (!isComplete) violations.push({ kind: "broken decision", text: `#${id} is incomplete` });
  }
  for (const [runId, { decisionId }] of summaries) {
    const decided = decisions.find((decision) => decision.runId === runId)?.id ?? null;
    if (decisionId !== decided) {
      const text = `run ${runId} reports #${decisionId}, but the table has #${decided}`;
      violations.push({ kind: "broken decision", text });
    }
  }
  return violations;
}

/** Invariants 5 and 6: one request per decision, sent after its row was written, and one training per alert. */
function auditDispatches(observation: Observation): Violation[] {
  const { decisions, dispatches, trainings, hasGuard, doublesRuns } = observation;
  const violations: Violation[] = [];
  const wrong = (text: string): number => violations.push({ kind: "duplicate dispatch", text });
  for (const { id, runId, decision } of decisions) {
    const own = dispatches.filter(({ decisionId }) => decisionId === id);
    const started = trainings.filter(({ key }) => key === runId);
    const known = 1 + Math.max(0, ...own.map(({ extraRuns }) => extraRuns.length));
    if (started.length > (doublesRuns ? 2 : 1) || (started.length > 1 && known !== started.length))
      wrong(`the trainer started ${started.length} trainings for #${id}, of which ${known} are known`);
    if (own.length !== (decision === "trigger" ? 1 : 0)) {
      violations.push({ kind: "broken decision", text: `#${id} (${decision}) has ${own.length} dispatches` });
    }
    for (const { state, askedAt } of own)
      violations.push(...auditDispatch(`#${id}`, state, askedAt, started));
  }
  for (const { key } of trainings) {
    if (!decisions.some(({ runId }) => runId === key)) wrong(`a training ${key} belongs to no decision`);
  }
  if (hasGuard) violations.push(...auditAlerts(decisions, dispatches));
  return violations;
}

function auditDispatch(
  name: string,
  state: string,
  askedAt: number | null,
  trainings: StartedTraining[],
): Violation[] {
  const texts: string[] = [];
  if (trainings.length > 0 && askedAt === null) texts.push(`${name} was requested without a record of it`);
  const hasTrained =
    state === "succeeded" || state === "failed" || (state === "cancelled" && askedAt !== null);
  if (hasTrained && trainings.length === 0)
    texts.push(`${name} is "${state}", but the trainer has no such training`);
  if (!hasTrained && trainings.length > 0)
    texts.push(`${name} is "${state}", but the trainer started a training for it`);
  if (state === "unknown" && askedAt === null) texts.push(`${name} is "unknown", but was not requested`);
  if (!["succeeded", "failed", "cancelled", "unknown", "rejected"].includes(state))
    texts.push(`${name} is left "${state}"`);
  return texts.map((text) => ({ kind: "broken decision", text }));
}

/** States in which the alerts of a dispatch may start another one. */
const RELEASES_ALERTS = ["cancelled", "failed", "rejected"];

function auditAlerts(decisions: ObservedDecision[], dispatches: Observation["dispatches"]): Violation[] {
  const startedBy = new Map<string, number>();
  const violations: Violation[] = [];
  for (const { id, decision, alertIds } of decisions) {
    const holdsAlerts = dispatches.some(
      ({ decisionId, state }) => decisionId === id && !RELEASES_ALERTS.includes(state),
    );
    if (decision !== "trigger" || !holdsAlerts) continue;
    for (const alert of alertIds) {
      const earlier = startedBy.get(alert);
      const text = `alert ${alert} started #${earlier} and #${id}`;
      if (earlier !== undefined) violations.push({ kind: "duplicate dispatch", text });
      startedBy.set(alert, id);
    }
  }
  return violations;
}

/** Invariant 3: each event's job ends, and names a run that leads to a decision whose snapshot is younger than the event. */
function auditEvents(observation: Observation): Violation[] {
  const { sent, events, decisions, mayRedisForget } = observation;
  const violations: Violation[] = [];
  for (const { eventRunId, sentAt, job } of sent) {
    const event = events.find((known) => known.eventRunId === eventRunId);
    const lost = (text: string): number =>
      violations.push({ kind: "lost event", text: `event ${eventRunId} ${text}` });
    if (!event) {
      if (!mayRedisForget) lost("is not in Postgres");
      continue;
    }
    const isCovered = decisions.some(
      ({ runId, takenAt }) => takenAt >= sentAt && (runId === event.runId || takenAt >= event.receivedAt),
    );
    if (!isCovered) lost(`is covered by no decision; its run is ${event.runId}`);
    if (mayRedisForget) continue;
    if (job?.state !== "completed" || !job.result) lost(`has a job that is ${job?.state ?? "gone"}`);
    else if (!leadsToDecision(observation, job.result, sentAt))
      lost(`has a job that returned ${JSON.stringify(job.result)}, which leads to no younger decision`);
  }
  return violations;
}

function leadsToDecision(
  { decisions, summaries }: Observation,
  result: IntakeResult,
  sentAt: number,
): boolean {
  let runId: string | null | undefined = "runId" in result ? result.runId : null;
  // Bounded, because a cycle would be a fault too.
  for (let step = 0; step < 100 && runId; step += 1) {
    const decision = decisions.find((known) => known.runId === runId);
    if (decision) return decision.takenAt >= sentAt;
    runId = summaries.get(runId)?.supersededBy;
  }
  return false;
}

const OPEN_DISPATCHES = ["pending", "sent", "running", "unknown"];

/** Invariant 8: whatever holds the model back exists, and the model's re-evaluation is scheduled. */
export function auditLatest({
  decisions,
  dispatches,
  pendingFollowUps,
  hasGuard,
}: Pick<Observation, "decisions" | "dispatches" | "pendingFollowUps" | "hasGuard">): Violation[] {
  const latest = decisions.at(-1);
  if (!latest) return [];
  const stuck = (text: string): Violation => ({ kind: "stuck model", text: `#${latest.id} ${text}` });
  const violations: Violation[] = [];
  const isOpen = dispatches.some(({ state }) => OPEN_DISPATCHES.includes(state));
  if (latest.reasonCodes.includes("training_in_flight") && !isOpen)
    violations.push(stuck("is held back by a training, but none is open"));
  const followUps = pendingFollowUps.filter((id) => id.endsWith(`-${latest.id}`));
  if (latest.needsFollowUp && followUps.length !== 1)
    violations.push(stuck("needs a follow-up, but none is pending"));
  const others = pendingFollowUps.filter((id) => !followUps.includes(id));
  if (others.length > 0)
    violations.push(stuck(`is the latest decision, but ${others.join(", ")} is pending`));
  const last = dispatches.at(-1);
  const hasFailed = last?.state === "failed" || (last?.state === "cancelled" && last.askedAt !== null);
  if (hasGuard && hasFailed && last.decisionId === latest.id)
    violations.push(stuck("failed, but no decision gives the time when its alerts are released"));
  return violations;
}
