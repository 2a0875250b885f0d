import { setTimeout } from "node:timers/promises";
import { messageOf, PermanentError } from "../core/errors.ts";
import type { Logger } from "./logger.ts";

type Release = () => unknown;

/** Everything that was opened, to be closed in reverse order. */
export interface Releasers {
  /** @param limitMs After this long the rest is closed without waiting, so that a server that is away does not block it. */
  add(what: string, release: Release, limitMs?: number): void;
  /** Closes everything. A failure is logged, and the rest is still closed. Safe to call twice. */
  releaseAll(): Promise<void>;
}

export function createReleasers(log: Logger): Releasers {
  const stack: { what: string; release: Release; limitMs: number }[] = [];
  return {
    add: (what, release, limitMs = 10_000) => stack.push({ what, release, limitMs }),
    async releaseAll() {
      for (let next = stack.pop(); next; next = stack.pop()) {
        try {
          const released = Promise.resolve(next.release());
          if (!(await isSettledWithin(released, next.limitMs)))
            log.warn({ what: next.what }, "did not close in time");
        } catch (error) {
          log.warn({ err: error, what: next.what }, "did not close cleanly");
        }
      }
    },
  };
}

/** Waits for a promise, at most `limitMs`. Returns whether it was fulfilled in time. */
export async function isSettledWithin(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const timer = new AbortController();
  const limit = setTimeout(limitMs, false, { signal: timer.signal }).catch(() => false);
  try {
    return await Promise.race([promise.then(() => true), limit]);
  } finally {
    timer.abort();
  }
}

/**
 * Tries until it succeeds, with pauses that grow to five seconds, and logs each new message once. A permanent error (a wrong
 * password) is thrown, because waiting would not fix it.
 *
 * @param isLogged Whether another part of the process logs the error.
 */
export async function retryUntilReady<T>(
  what: string,
  attempt: () => Promise<T>,
  {
    log,
    signal,
    isLogged = () => false,
  }: { log: Logger; signal?: AbortSignal | undefined; isLogged?: (error: unknown) => boolean },
): Promise<T> {
  let lastMessage = "";
  for (let pauseMs = 250; ; pauseMs = Math.min(5_000, pauseMs * 2)) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof PermanentError) throw error;
      signal?.throwIfAborted();
      const message = messageOf(error);
      if (message !== lastMessage && !isLogged(error)) log.warn(`waiting for ${what}: ${message}`);
      lastMessage = message;
      await setTimeout(pauseMs, undefined, { signal });
    }
  }
}
