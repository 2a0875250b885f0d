import { Client } from "pg";
import type { Config } from "../../config/config.ts";
import { completeSampleData, type ScenarioNumber, SOURCE_TABLES } from "../../embedded/sample-data.ts";
import { createDatabase } from "../../postgres/database.ts";
import { createSchemaClient } from "../../postgres/own-schema.ts";
import { createLogger } from "../../process/logger.ts";
import { createRedactor } from "../../process/redact.ts";
import { createTrainers } from "../../trainers/registry.ts";
import { createAgenda } from "./agenda.ts";
import { createDag, listDagRuns, runDagToday } from "./dag.ts";
import { createCinematchHistory, writeWeeks } from "./cinematch.ts";
import { createFraudHistory } from "./fraud.ts";
import type { ModelHistory, Step } from "./model-history.ts";
import { openPast } from "./past.ts";
import { createPastService, type SampleTraining } from "./past-service.ts";
import { createSearchHistory } from "./search.ts";

type HistoryConfig = Pick<
  Config,
  | "databaseUrl"
  | "databaseSchema"
  | "models"
  | "timing"
  | "timeZone"
  | "evidenceMaxAgeSeconds"
  | "trainer"
  | "secrets"
>;

/** The file with the models that have a history, in this checkout. */
export const DEMO_CONFIG = "src/demo/demo.yaml";

/**
 * Fills a migrated database with the past of the demo's models, up to the guide's event, which is left to the service. What was
 * reported is sample data; every decision comes from the evidence and the policy of its time.
 */
export async function loadHistory(config: HistoryConfig, scenario: ScenarioNumber): Promise<void> {
  const { databaseUrl, databaseSchema: schema } = config;
  // The DAG's rows are in our table, so that both can be compared.
  const DagClient = schema === undefined ? Client : createSchemaClient(schema);
  const [client, dagClient] = [new Client(databaseUrl), new DagClient(databaseUrl)];
  await Promise.all([client.connect(), dagClient.connect()]);
  try {
    await client.query(SOURCE_TABLES);
    const { rows } = await client.query<{ now: Date }>("SELECT now()");
    const now = rows[0]?.now ?? new Date();
    const weeks = writeWeeks(client, scenario, now);
    const dag = createDag(dagClient);
    const histories = [createCinematchHistory(weeks, now), createFraudHistory(now), createSearchHistory(now)];
    await replay(config, histories, { now, others: listDagRuns(dag, now) });
    await weeks.end(0);
    await runDagToday(dag, now);
    await completeSampleData(client);
  } finally {
    await Promise.all([client.end(), dagClient.end()]);
  }
}

/** Lets everything happen in order of time, up to the present. @param others What happens beside the models. */
async function replay(
  config: HistoryConfig,
  histories: readonly ModelHistory[],
  { now, others }: { now: Date; others: readonly Step[] },
): Promise<void> {
  const past = await openPast(config.databaseUrl, config.databaseSchema);
  const database = createDatabase({ ...config, databaseUrl: past.databaseUrl }, createLogger("silent"));
  const agenda = createAgenda();
  try {
    const service = createPastService({
      config,
      database,
      trainers: await createTrainers(config, createRedactor(config.secrets)),
      past,
      agenda,
      nextTraining: createTrainings(histories),
    });
    for (const { steps } of histories) for (const { at, run } of steps) agenda.add(at, () => run(service));
    for (const { at, run } of others) agenda.add(at, () => run(service));
    for (;;) {
      const next = agenda.takeFirst();
      // What comes later is left to the service.
      if (next === null || next.at > now.getTime()) return;
      await past.moveTo(next.at);
      await next.act();
    }
  } finally {
    await database.close();
    await past.close();
  }
}

/** Hands out the trainings of each model in turn; a further one succeeds within minutes. */
function createTrainings(histories: readonly ModelHistory[]): (model: string) => SampleTraining {
  const left = new Map(histories.map(({ model, trainings }) => [model, [...trainings]]));
  return (model) =>
    left.get(model)?.shift() ?? { conclusion: "success", message: null, durationSeconds: 600 };
}
