import type { Logger } from "./logger.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Starts, runs until SIGINT, SIGTERM or `endsBy`, then stops. A second signal ends the process at once. */
export async function runUntilSignal({
  start,
  stop,
  log,
  endsBy,
}: {
  start: (signal: AbortSignal) => Promise<unknown>;
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
    await start(aborted.signal);
    await signalled;
  } catch (error) {
    // A signal during the start is not a failure.
    if (!aborted.signal.aborted) throw error;
  } finally {
    await stop();
    for (const signal of SIGNALS) process.removeAllListeners(signal);
  }
}
