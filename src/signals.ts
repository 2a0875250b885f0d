import type { Logger } from "./logger.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Starts, runs until SIGINT or SIGTERM (or `endsBy`), then stops; a signal during the start does not wait for its end. A second
 * signal ends the process at once.
 */
export async function runUntilSignal({
  start,
  stop,
  log,
  endsBy,
}: {
  start: (signal: AbortSignal) => Promise<void>;
  stop: () => Promise<void>;
  log: Logger;
  endsBy?: AbortSignal;
}): Promise<void> {
  const aborted = new AbortController();
  const signalled = new Promise<void>((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      if (aborted.signal.aborted) process.exit(1);
      log.info({ signal }, "stopping");
      aborted.abort();
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
    endsBy?.addEventListener("abort", () => resolve());
  });
  try {
    await Promise.race([start(aborted.signal), signalled]);
    await signalled;
  } catch (error) {
    // A signal during the start is not a failure.
    if (!aborted.signal.aborted) throw error;
  } finally {
    await stop();
    for (const signal of SIGNALS) process.removeAllListeners(signal);
  }
}
