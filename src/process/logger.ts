import { type Logger, pino } from "pino";
import type { Redact } from "./redact.ts";
import { renderForTerminal } from "./terminal-log.ts";
import { escapeControls } from "./terminal.ts";

export type { Logger } from "pino";

/** What a terminal that does not say so is taken to be. */
const USUAL_WIDTH = 80;

/**
 * The process's log on standard output: readable lines on a terminal, else one JSON object per line. Secrets are redacted by
 * their path, and those that `redact` knows wherever they occur.
 */
export function createLogger(level: string, redact: Redact = (line) => line): Logger {
  // If the reader of standard output ends, pino's own destination survives; process.stdout would end the process (EPIPE).
  const output = pino.destination({ dest: 1, sync: true });
  const { isTTY } = process.stdout;
  const isColored = isTTY && process.stdout.hasColors();
  const render = isTTY
    ? (line: string) => {
        try {
          return renderForTerminal(line, process.stdout.columns || USUAL_WIDTH, isColored);
        } catch {
          // A secret of digits may have been redacted within a number.
          return escapeControls(line);
        }
      }
    : escapeControls;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ["password", "token", "*.password", "*.token", "err.config", "databaseUrl", "redisUrl"],
    },
    { write: (line) => output.write(render(redact(line))) },
  );
}
