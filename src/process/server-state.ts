import { messageOf } from "../core/errors.ts";
import type { Logger } from "./logger.ts";

/** Why a reachable server refuses work. */
export interface Refused {
  code: string;
  message: string;
}

/** Whether a server works. Each change is logged in one line, however many parts of the process notice it. */
export interface ServerState {
  /** @param source The part that notices. The server is back once it is back for every part that lost it. */
  away(source: string, error: unknown): void;
  back(source: string): void;
  /** The server is reachable but refuses work, or (null) works again. Only the periodic check may call this. */
  refuses(refused: Refused | null): void;
  /** Whether some part cannot reach the server. */
  isAway(): boolean;
}

export function createServerState(name: string, log: Logger): ServerState {
  const missing = new Set<string>();
  let refused: Refused | null = null;
  /** "up", "away", or the code of the refusal. */
  let logged = "up";

  function logChange(error?: unknown): void {
    const state = missing.size > 0 ? "away" : (refused?.code ?? "up");
    if (state === logged) return;
    if (state === "away") log.warn(`${name} is away: ${messageOf(error)}`);
    else if (refused !== null) log.warn({ code: refused.code }, `${name} refuses writes: ${refused.message}`);
    else log.info(logged === "away" ? `${name} is back` : `${name} accepts writes again`);
    logged = state;
  }

  return {
    away(source, error) {
      missing.add(source);
      // After a restart or a failover the server may accept what it refused before.
      refused = null;
      logChange(error);
    },
    back(source) {
      if (missing.delete(source)) logChange();
    },
    refuses(next) {
      refused = next;
      logChange();
    },
    isAway: () => missing.size > 0,
  };
}
