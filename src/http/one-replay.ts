import { createSlots } from "../process/slots.ts";
import { RequestError } from "./request-error.ts";

const slots = createSlots(1);

/** Runs a replay, which keeps a core busy for seconds: one at a time in this process. @throws RequestError if another one runs. */
export async function oneReplay<T>(run: () => Promise<T>): Promise<T> {
  const release = slots.take();
  if (release === null)
    throw new RequestError(503, "Another replay is running. Try again in some seconds", "BUSY");
  try {
    return await run();
  } finally {
    release();
  }
}
