import { z } from "zod";
import type { Parts } from "../../src/app.ts";
import type { Processors } from "../../workers/bullmq/workers.ts";

/** The faults of a worker process; without any it is the service itself. */
export const WorkerFaults = z.object({
  /** A step, such as "database.recordDecision:after", at which the process kills itself, the `nth` time. */
  killAt: z.string().nullable().default(null),
  nth: z.number().int().default(1),
  /** A model whose gather kills the process, every time. */
  poisonModel: z.string().nullable().default(null),
  /** Whether every run finds the lock free. */
  hasNoLock: z.boolean().default(false),
  /** How far this process's clock is ahead. */
  clockAheadMs: z.number().int().default(0),
});
export type WorkerFaults = z.input<typeof WorkerFaults>;

const faults = WorkerFaults.parse(JSON.parse(process.env["FAULTS"] ?? "{}"));
if (faults.clockAheadMs !== 0) shiftClock(faults.clockAheadMs);

// Imported only now, because no module may read the clock before it is shifted.
const { buildApp } = await import("../../src/app.ts");
const { parseConfig } = await import("../../src/config/config.ts");
const { createLogger } = await import("../../src/process/logger.ts");
const { createRedactor } = await import("../../src/process/redact.ts");
const { runUntilSignal } = await import("../../src/process/signals.ts");
const { replaceRemote } = await import("../support/replace-remote.ts");
const { withoutLock } = await import("./without-lock.ts");

let hits = 0;

const settings = parseConfig(process.env);
// The fake responds at once, so a search need not last for minutes.
const config = { ...settings, timing: { ...settings.timing, searchMs: 2_000, pollMs: 500 } };
const log = createLogger(config.logLevel, createRedactor(config.secrets));
const app = buildApp(config, log, {
  replaceParts,
  replaceProcessors: (processors) =>
    withSteps("stage", { ...processors, gather: withPoison(processors.gather) }),
});
await runUntilSignal({ start: (signal) => app.start(signal), stop: app.stop, log });
process.exit();

function replaceParts({ database, lock, chain, trainers }: Parts): Parts {
  return {
    database: withSteps("database", database),
    lock: withSteps("lock", faults.hasNoLock ? withoutLock(lock) : lock),
    chain: withSteps("chain", chain),
    trainers: replaceRemote(trainers, (remote) => withSteps("trainer", remote)),
  };
}

/** Wraps a part so that it reaches a step before and after each of its calls. */
function withSteps<T extends object>(name: string, part: T): T {
  const entries = Object.entries(part).map(([method, call]: [string, unknown]) => {
    if (typeof call !== "function") return [method, call] as const;
    const withStep = async (...args: unknown[]): Promise<unknown> => {
      reach(`${name}.${method}:before`);
      const result: unknown = await call(...args);
      reach(`${name}.${method}:after`);
      return result;
    };
    return [method, withStep] as const;
  });
  return Object.fromEntries(entries) as T;
}

function withPoison(gather: Processors["gather"]): Processors["gather"] {
  return (job) => {
    if (job.model === faults.poisonModel) die();
    return gather(job);
  };
}

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

function reach(step: string): void {
  if (step !== faults.killAt) return;
  hits += 1;
  if (hits === faults.nth) die();
}

function shiftClock(aheadMs: number): void {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...args: []) {
      if (args.length === 0) super(RealDate.now() + aheadMs);
      else super(...args);
    }
    static override now(): number {
      return RealDate.now() + aheadMs;
    }
  } as DateConstructor;
}
