import { expect } from "vitest";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createRedactor } from "../../src/process/redact.ts";
import { audited } from "../../src/cli/audited.ts";
import { diagnosePostgres } from "../../src/use-cases/doctor/postgres.ts";
import { exportDecisions } from "../../src/use-cases/export/export.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../../src/use-cases/export/formats.ts";
import { prune } from "../../src/use-cases/prune/prune.ts";
import { reportOutcome } from "../../src/use-cases/report-outcome.ts";
import { verifyAll } from "../../src/use-cases/verify/verify-all.ts";
import { addCheck, addRatings, until, type World } from "./world.ts";

/** Settings of a world that takes the main path. */
export const MAIN_PATH_SETTINGS = {
  MIN_BUFFER_SIZE: "1",
  TRAINER: "command",
  TRAINER_COMMAND: JSON.stringify(["true"]),
};

const PAGES = ["/", "/decisions", "/trainings", "/events", "/models/default", "/metrics", "/readyz"];

/**
 * Takes a model through the service and its commands: an event, a decision, its training and outcome, pages, exports, prune,
 * verify and doctor.
 *
 * @param settings Those of the service.
 * @param pruneSettings Those of `prune`.
 */
export async function takeMainPath(
  world: World,
  settings: Record<string, string>,
  pruneSettings = settings,
): Promise<void> {
  const config = parseConfig(settings);
  await addOldRows(world);
  await addCheck(world);
  await addRatings(world, 3);
  const app = await world.startApp({ ...config, role: "all" });
  expect(await world.decide()).toMatchObject({ decision: "trigger", bufferSize: 3 });
  await until(
    "the training has ended",
    async () => (await world.sql("SELECT FROM retraining_dispatches WHERE state = 'succeeded'")).length,
  );
  expect(await world.decide()).toMatchObject({ reason: "already_acted_on" });
  for (const page of PAGES)
    expect([page, (await fetch(`${app.address()}${page}`)).status]).toEqual([page, 200]);

  await withDatabase(config, async (database) => {
    await reportFigure(database);
    for (const format of EXPORT_FORMATS)
      expect(await exportAs(format, config, database)).toContain("default");
    const pruned = await withDatabase(parseConfig(pruneSettings), (pruner) => pruneOld(config, pruner));
    const removed = pruned.models[0]?.decisions ?? 0;
    expect(removed).toBeGreaterThan(0);
    const { faults, decisions } = await verifyAll(database, { model: null });
    expect({ faults, decisions }).toEqual({ faults: [], decisions: OLD - removed + 2 });
    const findings = await diagnosePostgres(config, database);
    expect(findings.filter(({ level }) => level === "fault")).toEqual([]);
  });
}

const OLD = 20;

/** Decisions of a year ago with their events, from before hashes. The newest are kept. */
async function addOldRows(world: World): Promise<void> {
  await world.sql(
    `WITH decided AS (
       INSERT INTO retraining_decisions (run_id, model, decision_date, taken_at, decision, reason, previous_id, evidence)
       SELECT gen_random_uuid(), 'default', at AT TIME ZONE 'UTC', at, 'no_action', 'no_drift_alerts', NULLIF(step - 1, 0), '{}'
       FROM generate_series(1, $1::int) AS step, LATERAL (SELECT now() - interval '1 year' + step * interval '1 hour') AS a (at)
       ORDER BY step RETURNING id, taken_at
     )
     INSERT INTO retraining_events (model, event_run_id, job_key, payload, outcome, received_at, decision_id)
     SELECT 'default', 'old-' || id, 'old-' || id, '{}', 'started', taken_at, id FROM decided`,
    [OLD],
  );
}

async function reportFigure(database: Database): Promise<void> {
  const [training] = await database.listDecisions({ model: "default", decision: "trigger", limit: 1 });
  const report = { metric: "rmse", before: 0.9, after: 0.8, direction: "lower" as const };
  const named = { decisionId: training?.id ?? 0, model: "default" };
  const reported = await reportOutcome(database, named, report, { source: "command", by: "a test" });
  expect(reported).toMatchObject({ recorded: true, brought: "improved" });
}

async function exportAs(format: ExportFormat, config: Config, database: Database): Promise<string> {
  const redact = createRedactor(config.secrets);
  const { pages } = await exportDecisions({ database, models: config.models, redact }, {}, format);
  let text = "";
  for await (const page of pages) text += page;
  return text;
}

function pruneOld(config: Config, database: Database) {
  const before = { ago: "180d", at: null } as const;
  const hooks = { onProgress() {}, onNote() {}, signal: new AbortController().signal };
  return audited(database, { action: "prune", target: "all" }, () =>
    prune(config, database, { before, model: null, archive: null, isDryRun: false }, hooks),
  );
}

async function withDatabase<T>(config: Config, use: (database: Database) => Promise<T>): Promise<T> {
  const database = createDatabase(config, createLogger("silent"));
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}
