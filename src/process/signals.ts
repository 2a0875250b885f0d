import { writeSync } from "node:fs";
import type { Logger } from "./logger.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** npm forwards a Ctrl-C that the terminal has already sent to its program. A second key press takes longer than this. */
const ECHO_MS = 200;

/**
 * Starts, runs until SIGINT, SIGTERM or `endsBy`, then stops. A second signal ends the process at once.
 *
 * @param onHangup Called on SIGHUP, at the earliest after the start; without it, SIGHUP ends the process at once. It also
 * stops if SIGHUP means that its terminal was closed.
 */
export async function runUntilSignal({
  start,
  stop,
  log,
  endsBy,
  onHangup,
}: {
  start: (signal: AbortSignal) => Promise<unknown>;
  stop: () => Promise<void>;
  log: Logger;
  endsBy?: AbortSignal;
  onHangup?: () => void;
}): Promise<void> {
  const aborted = new AbortController();
  let abortedAt = Number.POSITIVE_INFINITY;
  let isStarted = false;
  let isHangupMissed = false;
  const signalled = new Promise<void>((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      if (performance.now() - abortedAt > ECHO_MS) process.exit(1);
      if (aborted.signal.aborted) return;
      abortedAt = performance.now();
      log.info({ signal }, "stopping");
      aborted.abort();
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
    if (onHangup)
      process.on("SIGHUP", () => {
        if (hasTerminalClosed()) onSignal("SIGHUP");
        else if (isStarted) onHangup();
        else isHangupMissed = true;
      });
    endsBy?.addEventListener("abort", () => resolve());
  });
  try {
    await start(aborted.signal);
    isStarted = true;
    if (isHangupMissed) onHangup?.();
    await signalled;
  } catch (error) {
    // A signal during the start is not a failure.
    if (!aborted.signal.aborted) throw error;
  } finally {
    await stop();
    for (const signal of [...SIGNALS, "SIGHUP"]) process.removeAllListeners(signal);
  }
}

/** Whether the process ran in a terminal that no longer exists. */
function hasTerminalClosed(): boolean {
  if (!process.stdout.isTTY) return false;
  try {
    writeSync(1, "");
    return false;
  } catch {
    return true;
  }
}
