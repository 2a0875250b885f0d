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
  /** Events that were accepted, and that Redis lost before Postgres had them. */
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

/**
 * Sends events to the API of one web process, with two workers behind it, and kills the master that has the keys after half of
 * them. Then it checks every invariant of the fault suite.
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
  const failoverMs = await loseMaster(lane, sandbox);
  await sending;
  const acceptedAt = Date.now();
  const restedAt = await untilAtRest(sandbox, REST_LIMIT_MS);
  const observation = await observe(sandbox, sender.sent, {
    hasGuard: true,
    mayRedisForget: true,
    doublesRuns: false,
  });
  const unverified = await findUnverified(sandbox);
  const violations = audit({ ...observation, leaks: await sandbox.close(), unverified });
  if (restedAt === null)
    violations.push({ kind: "broken job", text: `not at rest within ${REST_LIMIT_MS} ms` });
  return {
    events: sender.sent.length,
    refused: sender.refused(),
    gone: events - new Set(observation.events.map(({ eventRunId }) => eventRunId)).size,
    decisions: observation.decisions.length,
    sendingMs: acceptedAt - startedAt,
    settlingMs: Math.max(0, (restedAt ?? Date.now()) - acceptedAt),
    failoverMs,
    violations,
  };
}

/** A producer that sends each event until it is accepted. */
function createSender(address: string, events: number) {
  const sent: SentEvent[] = [];
  let next = 0;
  let refused = 0;
  async function send(eventRunId: string): Promise<string> {
    for (;;) {
      const response = await fetch(`${address}/api/v1/events`, {
        method: "POST",
        headers: { origin: address, "content-type": "application/json" },
        body: JSON.stringify({ runId: eventRunId }),
      });
      const body = (await response.json()) as { jobId?: string | null };
      if (response.ok) return body.jobId ?? "";
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
        sent.push({ eventRunId, sentAt, jobId: await send(eventRunId) });
      }
    },
  };
}

/** Kills the master, and starts it again once it was replaced. Returns how long that took. */
async function loseMaster({ replicated }: Lane, { settings }: Sandbox): Promise<number> {
  if (!replicated) throw new Error("A storm needs a replicated Redis");
  const prefix = settings["REDIS_PREFIX"] ?? "";
  const master = await replicated.findMaster(prefix);
  const killedAt = Date.now();
  await master.kill();
  await replicated.untilReplaced(master, prefix);
  const failoverMs = Date.now() - killedAt;
  await replicated.heal();
  return failoverMs;
}
