import { setTimeout as pause } from "node:timers/promises";
import { audit, type Violation } from "./auditor.ts";
import type { Field, FieldOptions } from "./field.ts";
import type { Lane } from "./lane.ts";
import { MISBEHAVIOURS } from "./misbehaviours.ts";
import { observe, untilAtRest } from "./observe.ts";
import type { Plan } from "./plans.ts";
import { strike } from "./strike.ts";

export interface Outcome {
  plan: Plan;
  violations: Violation[];
  decisions: number;
  dispatches: number;
  /** Dispatches that are handed to a person. */
  unknown: number;
  /** From the end of the fault (the restart, the server's return) to rest. */
  recoveryMs: number;
  /** Whether the fault came to pass: a kill point may lie on a way that the run did not take. */
  hasStruck: boolean;
}

const REST_LIMIT_MS = 60_000;
/** After a kill of the only worker and its restart, the chain is to be at its end. */
const RECOVERY_LIMIT_MS = 15_000;

/** Makes one run and audits what it left. */
export async function makeRun(lane: Lane, plan: Plan, restLimitMs = REST_LIMIT_MS): Promise<Outcome> {
  const field = await lane.openField(fieldOptions(plan));
  const { hasStruck, sent, healedAt } = await strike(lane, field, plan);
  const restedAt = await untilAtRest(field, restLimitMs);
  const recoveryMs = Math.max(0, (restedAt ?? Date.now()) - healedAt);
  await untilLocksLapse(field);
  const observation = await observe(field, sent, {
    hasGuard: plan.hasGuard,
    wasRedisEmptied: plan.fault.startsWith("Redis emptied"),
    doublesRuns: MISBEHAVIOURS[plan.github].doublesRuns ?? false,
  });
  const leaks = await field.close();
  const violations = audit({ ...observation, leaks });
  if (restedAt === null) violations.push({ kind: "broken job", text: `no rest in ${restLimitMs} ms` });
  if (restedAt !== null && plan.fault.startsWith("worker killed") && recoveryMs > RECOVERY_LIMIT_MS)
    violations.push({ kind: "broken job", text: `recovery took ${recoveryMs} ms` });
  return {
    plan,
    violations,
    decisions: observation.decisions.length,
    dispatches: observation.asks.length,
    unknown: observation.dispatches.filter(({ state }) => state === "unknown").length,
    recoveryMs,
    hasStruck,
  };
}

function fieldOptions({ hasGuard, readingMs, fault, github }: Plan): FieldOptions {
  const onOff = hasGuard ? "on" : "off";
  const name = fault === "trainer's answers lost" ? "each answer is lost" : github;
  return {
    settings: { RETRIGGER_GUARD: onOff, TRAINING_IN_FLIGHT_GUARD: onOff },
    readingMs,
    github: structuredClone(MISBEHAVIOURS[name].github),
  };
}

/** A process that was killed or paused may hold the lock a little longer than its run: as long as the lock lives. */
async function untilLocksLapse(field: Field): Promise<void> {
  const deadline = Date.now() + Number(field.settings["LOCK_TTL_MS"]);
  while (Date.now() < deadline) {
    if ((await field.redis.keys(`${field.settings["REDIS_PREFIX"]}:decision-lock:*`)).length === 0) return;
    await pause(50);
  }
}
