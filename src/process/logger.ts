import { type Logger, pino } from "pino";
import type { Redact } from "./redact.ts";
import { escapeControls } from "./terminal.ts";

export type { Logger } from "pino";

/**
 * The process's log: one JSON object per line on standard output. Secrets are redacted by their path, and those that `redact`
 * knows wherever they occur.
 */
export function createLogger(level: string, redact: Redact = (line) => line): Logger {
  // If the reader of standard output ends, pino's own destination survives; process.stdout would end the process (EPIPE).
  const output = pino.destination({ dest: 1, sync: true });
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ["password", "token", "*.password", "*.token", "err.config", "databaseUrl", "redisUrl"],
    },
    { write: (line) => output.write(escapeControls(redact(line))) },
  );
}
