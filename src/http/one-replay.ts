import { TransientError } from "../core/errors.ts";
import { createSlots } from "../process/slots.ts";

const slots = createSlots(1);

/** Runs a replay, which keeps a core busy for seconds, one at a time in this process. @throws TransientError SLOW if another runs. */
export async function oneReplay<T>(run: () => Promise<T>): Promise<T> {
  const release = slots.take();
  if (release === null)
    throw new TransientError("SLOW", "Another replay is running: send it again in some seconds");
  try {
    return await run();
  } finally {
    release();
  }
}
