import { setImmediate as pause } from "node:timers/promises";

/** How long a process may be kept from everything else. */
const STRETCH_MS = 30;

/** Runs a long computation in steps, between which the process does other work. */
export async function runInSteps<T>(
  steps: Generator<number, T>,
  onProgress: (share: number) => void = () => {},
): Promise<T> {
  let since = performance.now();
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    onProgress(step.value);
    if (performance.now() - since < STRETCH_MS) continue;
    await pause();
    since = performance.now();
  }
}
