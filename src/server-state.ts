import { messageOf } from "./errors.ts";
import type { Logger } from "./logger.ts";

/** Whether a server answers, told in one log line per change however many parts of the process notice. */
export interface ServerState {
  /** @param source The part that notices; the server is back when it is back for every part that missed it. */
  away(source: string, error: unknown): void;
  back(source: string): void;
}

export function createServerState(name: string, log: Logger): ServerState {
  const missing = new Set<string>();
  return {
    away(source, error) {
      if (missing.size === 0) log.warn(`${name} is away: ${messageOf(error)}`);
      missing.add(source);
    },
    back(source) {
      if (missing.delete(source) && missing.size === 0) log.info(`${name} is back`);
    },
  };
}
