import { setTimeout as pause } from "node:timers/promises";
import type { EventStream } from "./event-stream.ts";
import type { Version } from "./previous-version.ts";
import { countRunLines, type ReleaseProcess, startRelease } from "./release-process.ts";

const PHASE_MS = 6_000;

/** What a phase of the upgrade showed. */
export interface Phase {
  name: string;
  /** Events that were accepted meanwhile. */
  events: number;
  /** Processes that were to work, and logged nothing about any run. */
  idle: string[];
}

/**
 * Upgrades a running service to another version and back, and upgrades it again, each time with both versions at work for a
 * while. `findApi` of the stream follows the newest web process of `next`.
 */
export function createRehearsal(
  { previous, next }: { previous: Version; next: Version },
  settings: Record<string, string>,
) {
  const running: ReleaseProcess[] = [];
  const phases: Phase[] = [];
  const faults: string[] = [];

  async function join(version: Version): Promise<void> {
    for (const role of ["worker", "worker", "web"] as const)
      running.push(await startRelease(version, role, settings));
  }

  async function leave(version: Version): Promise<void> {
    const leaving = running.filter((one) => one.version === version);
    for (const one of leaving) {
      running.splice(running.indexOf(one), 1);
      faults.push(...(await one.stop()));
    }
  }

  async function work(name: string, stream: EventStream): Promise<void> {
    const workers = running.filter(({ role }) => role === "worker");
    const before = new Map(workers.map((worker) => [worker, countRunLines(worker)]));
    const accepted = stream.sent.length;
    await pause(PHASE_MS);
    for (const { address } of running.filter(({ role }) => role === "web"))
      for (const path of ["/healthz", "/readyz", "/metrics"]) {
        const { status } = await fetch(String(address) + path);
        if (status !== 200) faults.push(`${name}: ${path} returned ${status}`);
      }
    const idle = workers.filter((worker) => countRunLines(worker) === before.get(worker));
    phases.push({
      name,
      events: stream.sent.length - accepted,
      idle: idle.map(({ version }) => `a worker of ${version.name}`),
    });
  }

  return {
    phases,
    faults,
    findApi: () =>
      running.findLast(({ version, role }) => version === next && role === "web")?.address ?? null,
    async play(stream: EventStream): Promise<void> {
      await join(previous);
      await work("the old version alone", stream);
      for (const round of ["upgrade", "rollback", "second upgrade"]) {
        const [stays, leaves] = round === "rollback" ? [previous, next] : [next, previous];
        await join(stays);
        await work(`${round}: both versions`, stream);
        await leave(leaves);
        await work(`${round}: ${stays === next ? "the new" : "the old"} version alone`, stream);
      }
    },
    /** Stops everything, and returns what was wrong. */
    async end(): Promise<string[]> {
      for (const version of [previous, next]) await leave(version);
      return faults;
    },
    killAll(): void {
      for (const one of running) one.kill();
    },
  };
}
