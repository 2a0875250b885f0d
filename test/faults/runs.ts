import { setTimeout as pause } from "node:timers/promises";
import { audit, type Violation } from "./auditor.ts";
import { injectFault } from "./inject-fault.ts";
import type { Lane } from "./lane.ts";
import { MISBEHAVIOURS } from "./misbehaviours.ts";
import { observe, untilAtRest } from "./observe.ts";
import { mayForget, type Plan } from "./plans.ts";
import type { Sandbox, SandboxOptions } from "./sandbox.ts";
import { findUnverified } from "./unverified.ts";
import { listKeys } from "../support/redis-keys.ts";

export interface Outcome {
  plan: Plan;
  violations: Violation[];
  decisions: number;
  dispatches: number;
  /** Events that Redis had accepted and lost before Postgres had them. A violation, unless the fault makes Redis forget. */
  gone: number;
  /** Dispatches that are left to an operator. */
  unknown: number;
  /** The time from the end of the fault (the restart, the server's return) to rest. */
  recoveryMs: number;
  /** Whether the fault occurred: the run may not have reached the kill point. */
  hasStruck: boolean;
}

export interface RunLimits {
  /** How soon after the fault the service must be at rest. */
  restMs?: number;
  /**
   * How soon after the only worker was killed and restarted the chain must have ended. The long form checks it; beside other
   * tests, it would measure their load.
   */
  recoveryMs?: number;
}

/** Makes one run and audits what it left behind. */
export async function makeRun(
  lane: Lane,
  plan: Plan,
  { restMs: restLimitMs = 60_000, recoveryMs: recoveryLimitMs = Infinity }: RunLimits = {},
): Promise<Outcome> {
  const sandbox = await lane.openSandbox(sandboxOptions(plan));
  const { hasStruck, sent, healedAt } = await injectFault(lane, sandbox, plan);
  const restedAt = await untilAtRest(sandbox, restLimitMs);
  const recoveryMs = Math.max(0, (restedAt ?? Date.now()) - healedAt);
  await untilLocksExpire(sandbox);
  const observation = await observe(sandbox, sent, {
    hasGuard: plan.hasGuard,
    mayRedisForget:
      mayForget(plan.fault) ||
      (plan.fault === "master handed over" && lane.replicated?.isHandOverComplete === false),
    doublesRuns: MISBEHAVIOURS[plan.github].doublesRuns ?? false,
  });
  const unverified = await findUnverified(sandbox);
  const leaks = await sandbox.close();
  const violations = audit({ ...observation, leaks, unverified });
  if (restedAt === null)
    violations.push({ kind: "broken job", text: `not at rest within ${restLimitMs} ms` });
  if (restedAt !== null && plan.fault.startsWith("worker killed") && recoveryMs > recoveryLimitMs)
    violations.push({ kind: "broken job", text: `recovery took ${recoveryMs} ms` });
  return {
    plan,
    violations,
    decisions: observation.decisions.length,
    gone: sent.length - new Set(observation.events.map(({ eventRunId }) => eventRunId)).size,
    dispatches: observation.trainings.length,
    unknown: observation.dispatches.filter(({ state }) => state === "unknown").length,
    recoveryMs,
    hasStruck,
  };
}

function sandboxOptions({ hasGuard, readingMs, fault, github }: Plan): SandboxOptions {
  const onOff = hasGuard ? "on" : "off";
  const name = fault === "trainer's answers lost" ? "each answer is lost" : github;
  return {
    settings: { RETRIGGER_GUARD: onOff, TRAINING_IN_FLIGHT_GUARD: onOff },
    readingMs,
    github: structuredClone(MISBEHAVIOURS[name].github),
  };
}

/** Waits for locks to expire, which a process that was killed or paused may hold until their TTL ends. */
async function untilLocksExpire(sandbox: Sandbox): Promise<void> {
  const deadline = Date.now() + Number(sandbox.settings["LOCK_TTL_MS"]);
  while (Date.now() < deadline) {
    if ((await listKeys(sandbox.redis, `${sandbox.settings["REDIS_PREFIX"]}:decision-lock:*`)).length === 0)
      return;
    await pause(50);
  }
}
