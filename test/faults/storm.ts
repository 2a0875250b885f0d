import { setTimeout as pause } from "node:timers/promises";
import { audit, type Violation } from "./auditor.ts";
import type { Lane } from "./lane.ts";
import { observe, type SentEvent, untilAtRest } from "./observe.ts";
import type { Sandbox } from "./sandbox.ts";
import { findUnverified } from "./unverified.ts";

export interface StormOutcome {
  events: number;
  /** Requests that the service answered with 503, and that were sent again. */
  refused: number;
  /** Accepted events that Redis lost before Postgres had them, as was found when the last ones before the failover were sent again. */
  gone: number;
  decisions: number;
  /** From the first event to the last acceptance, and from there to rest. */
  sendingMs: number;
  settlingMs: number;
  /** From the kill of the master until another one has its keys. */
  failoverMs: number;
  violations: Violation[];
}

const AT_ONCE = 8;
const REST_LIMIT_MS = 180_000;
/** So many milliseconds before a failover, events may have been accepted that the new master does not have. */
const SENT_AGAIN_MS = 2_000;

/**
 * Sends events to the API of one web process, with two workers behind it, and kills the master that has the keys after half of
 * them. A careful producer then sends the last ones again. At the end, every invariant of the fault suite is checked.
 */
export async function makeStorm(lane: Lane, events: number): Promise<StormOutcome> {
  const sandbox = await lane.openSandbox({ settings: { RETRIGGER_GUARD: "on" } });
  await Promise.all([sandbox.startWorker(), sandbox.startWorker()]);
  const web = await sandbox.startWorker({}, { ROLE: "web", PORT: "0" });
  const address = String(web.lines.find(({ msg }) => msg === "Retrigger is ready")?.["address"]);
  const startedAt = Date.now();
  const sender = createSender(address, events);
  const sending = Promise.all(Array.from({ length: AT_ONCE }, sender.work));
  while (sender.sent.length < events / 2) await pause(10);
  const failover = await loseMaster(lane, sandbox);
  await sending;
  const acceptedAt = Date.now();
  await untilAtRest(sandbox, REST_LIMIT_MS);
  const gone = await sender.sendAgain(failover.from - SENT_AGAIN_MS, failover.to);
  const restedAt = await untilAtRest(sandbox, REST_LIMIT_MS);
  const observation = await observe(sandbox, sender.sent, {
    hasGuard: true,
    mayRedisForget: true,
    doublesRuns: false,
  });
  const unverified = await findUnverified(sandbox);
  const violations = audit({ ...observation, leaks: await sandbox.close(), unverified });
  for (const { eventRunId } of sender.sent)
    if (!observation.events.some((event) => event.eventRunId === eventRunId))
      violations.push({ kind: "lost event", text: `event ${eventRunId} is not in Postgres` });
  if (restedAt === null)
    violations.push({ kind: "broken job", text: `not at rest within ${REST_LIMIT_MS} ms` });
  return {
    events: sender.sent.length,
    refused: sender.refused(),
    gone,
    decisions: observation.decisions.length,
    sendingMs: acceptedAt - startedAt,
    settlingMs: Math.max(0, (restedAt ?? Date.now()) - acceptedAt),
    failoverMs: failover.to - failover.from,
    violations,
  };
}

/** A producer that sends each event until it is accepted. */
function createSender(address: string, events: number) {
  const sent: SentEvent[] = [];
  let next = 0;
  let refused = 0;
  async function send(eventRunId: string): Promise<{ jobId: string; isNew: boolean }> {
    for (;;) {
      const response = await fetch(`${address}/api/v1/events`, {
        method: "POST",
        headers: { origin: address, "content-type": "application/json" },
        body: JSON.stringify({ runId: eventRunId }),
      });
      const body = (await response.json()) as { jobId?: string | null };
      if (response.ok) return { jobId: body.jobId ?? "", isNew: response.status === 202 };
      if (response.status !== 503) throw new Error(`${response.status}: ${JSON.stringify(body)}`);
      refused += 1;
      await pause(200);
    }
  }
  return {
    sent,
    refused: () => refused,
    async work(): Promise<void> {
      while (next < events) {
        next += 1;
        const eventRunId = `storm-${next}`;
        const sentAt = Date.now();
        const { jobId } = await send(eventRunId);
        sent.push({ eventRunId, sentAt, jobId });
      }
    },
    /** Sends the events of a period again. Returns how many the service did not know. */
    async sendAgain(from: number, to: number): Promise<number> {
      const last = sent.filter(({ sentAt }) => sentAt >= from && sentAt <= to);
      const answers = await Promise.all(last.map(({ eventRunId }) => send(eventRunId)));
      return answers.filter(({ isNew }) => isNew).length;
    },
  };
}

/** Kills the master, and starts it again once it was replaced. Returns from when to when there was none. */
async function loseMaster(
  { replicated }: Lane,
  { settings }: Sandbox,
): Promise<{ from: number; to: number }> {
  if (!replicated) throw new Error("A storm needs a replicated Redis");
  const prefix = settings["REDIS_PREFIX"] ?? "";
  const master = await replicated.findMaster(prefix);
  const from = Date.now();
  await master.kill();
  await replicated.untilReplaced(master, prefix);
  const to = Date.now();
  await replicated.heal();
  return { from, to };
}
