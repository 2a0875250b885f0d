import { createDecisionSteps } from "../../dist/bench/decision-steps.js";

/** More requests at once would wait for a connection until they fail. */
const REQUESTS_AT_ONCE = 16;

/**
 * Runs a peer in this process: the bench sends the id and model of each run, and hears when its last stage has ended.
 *
 * @param start Called with the steps of a decision and `ended(runId)`; returns the function that requests a run.
 */
export async function serve(start) {
  const put = await start(await createDecisionSteps(), (runId) => process.send({ ended: runId }));
  const waiting = [];
  let sending = 0;
  const sendNext = async () => {
    if (sending >= REQUESTS_AT_ONCE || waiting.length === 0) return;
    sending += 1;
    await put(waiting.shift());
    sending -= 1;
    void sendNext();
  };
  process.on("message", (job) => {
    waiting.push(job);
    void sendNext();
  });
  console.log("ready");
}
