import { type Logger, pino } from "pino";
import type { Redact } from "./redact.ts";

export type { Logger } from "pino";

/**
 * The process's log: one JSON object a line on standard output. Secrets are cut out by their path, and those that `redact`
 * knows wherever they stand.
 */
export function createLogger(level: string, redact: Redact = (line) => line): Logger {
  // pino's own output outlives whoever reads it; the process's would end it with a broken pipe.
  const output = pino.destination({ dest: 1, sync: true });
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ["password", "token", "*.password", "*.token", "err.config", "databaseUrl", "redisUrl"],
    },
    { write: (line) => output.write(redact(line)) },
  );
}
