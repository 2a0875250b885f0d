import { pino, type Logger } from "pino";

export type { Logger } from "pino";

/** The process's log: one JSON object a line on standard output, secrets cut out by their path. */
export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ["password", "token", "*.password", "*.token", "err.config", "databaseUrl", "redisUrl"],
  });
}
