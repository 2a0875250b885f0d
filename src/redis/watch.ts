import type { Redis } from "ioredis";
import { isSettledWithin } from "../process/lifecycle.ts";
import type { ServerState } from "../process/server-state.ts";
import { checkRedis, type RedisSettings, type RedisState } from "./check.ts";
import { explain } from "./refusal.ts";

/** Checks every few seconds whether Redis accepts writes, which a ping does not show. */
export interface RedisWatch {
  /** Checks now; concurrent callers share one check. Never rejects. */
  check(): Promise<RedisState>;
  /** Checks now because a command was refused, unless Redis is already known to refuse writes. */
  checkNow(): void;
  /** Calls `listener` with whether Redis refuses writes, immediately and then on every change. */
  onChange(listener: (isRefusing: boolean) => void): void;
  stop(): void;
}

export interface WatchDependencies {
  /** Must fail fast. */
  redis: Redis;
  state: ServerState;
  settings: RedisSettings;
}

const INTERVAL_MS = 5_000;
/** Nothing works while Redis refuses writes, so its recovery must be noticed soon. */
const INTERVAL_WHILE_REFUSING_MS = 1_000;
/** A Redis that sends no reply within this time is away, even if the connection is open. */
const RESPONSE_LIMIT_MS = 2_500;
const SOURCE = "watch";

export function createRedisWatch({ redis, state, settings }: WatchDependencies): RedisWatch {
  const listeners: ((isRefusing: boolean) => void)[] = [];
  let last: RedisState = { kind: "ready" };
  let pending: Promise<RedisState> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  async function readState(): Promise<RedisState> {
    const checked = checkRedis(redis, settings);
    if (!(await isSettledWithin(checked, RESPONSE_LIMIT_MS))) {
      const error = new Error(`no response within ${RESPONSE_LIMIT_MS} ms`);
      state.away(SOURCE, error);
      return { kind: "away", error };
    }
    const next = await checked;
    // A broken connection is reported by its own listener. ioredis drops the connection to a replica and reconnects;
    // until then the last refusal still holds.
    if (next.kind === "away") return last.kind === "refusing" && !state.isAway() ? last : next;
    const { refusal } = next.kind === "refusing" ? next : { refusal: null };
    state.refuses(refusal && { code: refusal.code, message: explain(refusal) });
    state.back(SOURCE);
    return next;
  }

  async function checkAndSchedule(): Promise<RedisState> {
    const before = last.kind;
    last = await readState();
    pending = null;
    schedule();
    const isRefusing = last.kind === "refusing";
    if (isRefusing !== (before === "refusing")) for (const listener of listeners) listener(isRefusing);
    return last;
  }

  function check(): Promise<RedisState> {
    return (pending ??= checkAndSchedule());
  }

  function schedule(): void {
    clearTimeout(timer);
    const intervalMs = last.kind === "refusing" ? INTERVAL_WHILE_REFUSING_MS : INTERVAL_MS;
    if (!isStopped) timer = setTimeout(() => void check(), intervalMs);
  }

  function checkNow(): void {
    if (last.kind !== "refusing" && !isStopped) void check();
  }

  redis.on("ready", checkNow);
  schedule();
  return {
    check,
    checkNow,
    onChange(listener) {
      listeners.push(listener);
      listener(last.kind === "refusing");
    },
    stop() {
      isStopped = true;
      redis.off("ready", checkNow);
      clearTimeout(timer);
    },
  };
}
