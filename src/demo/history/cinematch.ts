import type { Client } from "pg";
import { loadSampleWeek, QUIET_WEEKS, type ScenarioNumber } from "../../embedded/sample-data.ts";
import { DAY_MS, type ModelHistory } from "./model-history.ts";

const MODEL = "cinematch";

/** The weeks of the guide's tables, as they pass. */
export interface Weeks {
  /** Ends a week: from now on its rows can be seen. Weeks end in order, the oldest first. */
  end(weeksAgo: number): Promise<void>;
}

/**
 * Writes the rows of each week before it ends, in a transaction that is open until then: Postgres writes 100,000 ratings while
 * other models are decided about.
 *
 * @param client A connection for this alone.
 */
export function writeWeeks(client: Pick<Client, "query">, scenario: ScenarioNumber, now: Date): Weeks {
  const write = (weeksAgo: number): Promise<void> => {
    const writing = (async () => {
      await client.query("BEGIN");
      await loadSampleWeek(client, scenario, { weeksAgo, now });
    })();
    // If it fails, so does the end of the week.
    writing.catch(() => {});
    return writing;
  };
  let written = write(QUIET_WEEKS);
  return {
    async end(weeksAgo) {
      await written;
      await client.query("COMMIT");
      if (weeksAgo > 0) written = write(weeksAgo - 1);
    },
  };
}

/** The team's simulation: six weeks in which the ratings grow and nothing drifts. The seventh is the event of the demo. */
export function createCinematchHistory(weeks: Weeks, now: Date): ModelHistory {
  return {
    model: MODEL,
    trainings: [],
    steps: Array.from({ length: QUIET_WEEKS }, (_, index) => {
      const weeksAgo = QUIET_WEEKS - index;
      const at = now.getTime() - weeksAgo * 7 * DAY_MS;
      const runId = `scheduled__${new Date(at).toISOString().slice(0, 19)}`;
      return {
        at,
        async run(service) {
          await weeks.end(weeksAgo);
          await service.receiveEvent(MODEL, { runId, source: "airflow" });
        },
      };
    }),
  };
}
