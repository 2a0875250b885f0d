import { setTimeout as pause } from "node:timers/promises";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { Client } from "../../src/use-cases/client.ts";
import type { Observed, SentEvent } from "../faults/observe.ts";

/** Sends events until it is stopped, and records those that were accepted. */
export interface EventStream {
  sent: SentEvent[];
  stop(): Promise<void>;
}

const SPACING_MS = 150;
/** Every so many events, there is an alert that no training has answered yet. */
const EVENTS_PER_ALERT = 8;

/**
 * @param findApi The address of a web process that takes events by HTTP, if one runs. Every second event goes there, the
 *   others go to the queue, as a producer of any version sends them.
 */
export function startEventStream(
  { producer, sql }: { producer: Client } & Pick<Observed, "sql">,
  findApi: () => string | null,
): EventStream {
  const sent: SentEvent[] = [];
  const stopping = new AbortController();

  async function sendNext(count: number): Promise<void> {
    if (count % EVENTS_PER_ALERT === 0) await sql(NEW_ALERT, [`feature_${count}`]);
    const eventRunId = `drift-${count}`;
    const sentAt = Date.now();
    const api = count % 2 === 0 ? findApi() : null;
    const jobId =
      api === null
        ? await producer.send(INBOX_JOBS.event, { runId: eventRunId })
        : await postEvent(api, eventRunId);
    sent.push({ eventRunId, sentAt, jobId });
  }

  async function sendAll(): Promise<void> {
    for (let count = 0; !stopping.signal.aborted; count += 1) {
      await sendNext(count);
      await pause(SPACING_MS);
    }
  }

  const sending = sendAll();
  // Whoever stops the stream learns of its failure.
  sending.catch(() => {});
  return {
    sent,
    async stop() {
      stopping.abort();
      await sending;
    },
  };
}

const NEW_ALERT = `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
  VALUES (now() AT TIME ZONE 'UTC', $1, 0.0975, 0.05, true)`;

async function postEvent(address: string, runId: string): Promise<string> {
  const response = await fetch(`${address}/api/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/json", origin: address },
    body: JSON.stringify({ runId }),
  });
  if (response.status !== 202) throw new Error(`${address} refused an event: ${await response.text()}`);
  return ((await response.json()) as { jobId: string }).jobId;
}
