import { isSettledWithin } from "../process/lifecycle.ts";
import type { ServerState } from "../process/server-state.ts";
import { checkRedis, type RedisSettings, type RedisState } from "./check.ts";
import { explainRedisError } from "./connection.ts";
import { explain } from "./refusal.ts";
import type { RedisConnection } from "./target.ts";

/** Checks every few seconds whether Redis accepts writes, which a ping does not show. */
export interface RedisWatch {
  /** Checks now; concurrent callers share one check. Never rejects. */
  check(): Promise<RedisState>;
  /** Checks now because a command was refused, unless Redis is already known to refuse writes. */
  checkNow(): void;
  /** Calls `listener` with whether Redis refuses writes, immediately and then on every change. */
  onChange(listener: (isRefusing: boolean) => void): void;
  /** Calls `listener` when another server has taken over, or the same one was restarted: it may lack the last writes. */
  onFailover(listener: () => void): void;
  stop(): void;
}

export interface WatchDependencies {
  /** Must fail fast. */
  redis: RedisConnection;
  state: ServerState;
  settings: RedisSettings;
}

const INTERVAL_MS = 5_000;
/** Nothing works meanwhile, so its recovery must be noticed soon. */
const INTERVAL_UNTIL_READY_MS = 1_000;
/** A Redis that sends no reply within this time is away, even if the connection is open. */
const RESPONSE_LIMIT_MS = 2_500;
const SOURCE = "watch";

export function createRedisWatch({ redis, state, settings }: WatchDependencies): RedisWatch {
  const listeners: ((isRefusing: boolean) => void)[] = [];
  const failoverListeners: (() => void)[] = [];
  let last: RedisState = { kind: "ready", replicationId: null };
  let replicationId: string | null = null;
  let pending: Promise<RedisState> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  async function readState(): Promise<RedisState> {
    const checked = checkRedis(redis, settings);
    if (!(await isSettledWithin(checked, RESPONSE_LIMIT_MS))) {
      const error = new Error(`no response within ${RESPONSE_LIMIT_MS} ms`);
      state.away(SOURCE, explainRedisError(error, settings));
      return { kind: "away", error };
    }
    const next = await checked;
    // A broken connection is reported by its own listener. ioredis drops the connection to a replica and reconnects;
    // until then the last refusal still holds.
    if (next.kind === "away") {
      if (last.kind === "refusing" && !state.isAway()) return last;
      // A cluster stays connected when it loses the one master that has our keys.
      if (redis.isCluster) state.away(SOURCE, explainRedisError(next.error, settings));
      return next;
    }
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
    if (last.kind === "ready" && last.replicationId !== null) noticeFailover(last.replicationId);
    return last;
  }

  function noticeFailover(current: string): void {
    const isAnother = replicationId !== null && current !== replicationId;
    replicationId = current;
    if (isAnother) for (const listener of failoverListeners) listener();
  }

  function check(): Promise<RedisState> {
    return (pending ??= checkAndSchedule());
  }

  function schedule(): void {
    clearTimeout(timer);
    const intervalMs = last.kind === "ready" ? INTERVAL_MS : INTERVAL_UNTIL_READY_MS;
    if (!isStopped) timer = setTimeout(() => void check(), intervalMs);
  }

  function checkNow(): void {
    if (last.kind !== "refusing" && !isStopped) void check();
  }

  redis.on("ready", checkNow);
  void check();
  return {
    check,
    checkNow,
    onChange(listener) {
      listeners.push(listener);
      listener(last.kind === "refusing");
    },
    onFailover: (listener) => failoverListeners.push(listener),
    stop() {
      isStopped = true;
      redis.off("ready", checkNow);
      clearTimeout(timer);
    },
  };
}
