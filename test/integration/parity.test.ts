import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { compareModel } from "../../src/use-cases/parity.ts";
import { runScript } from "../support/process.ts";
import { addCheck, addRatings, createWorld, failureOf, type World } from "../support/world.ts";

const PERIOD = { ago: "90d", at: null } as const;

let world: World;
let database: Database;
beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "5", SOURCE_TIME_ZONE: "Asia/Tokyo" } });
  database = createDatabase(world.config, createLogger("silent"));
});
afterAll(async () => {
  await database.close();
  await world.close();
});

/** A row as the DAG writes it, so long ago, in a session of Tokyo. */
async function addDagRow(age: string, decision: string, size: number): Promise<void> {
  await world.sql(
    `INSERT INTO retraining_decisions (decision_date, decision, reason, buffer_size, notes)
     VALUES (now() AT TIME ZONE 'Asia/Tokyo' - $1::interval, $2, 'x', $3::int, 'Triggered alerts: 1, Buffer: ' || $3::text)`,
    [age, decision, String(size)],
  );
}

const compare = () => compareModel(world.config, database, "default", PERIOD);

describe("parity", () => {
  it("says what is missing if one side decided nothing", async () => {
    expect(await failureOf(compare())).toContain("The DAG wrote no row since");
    await addDagRow("3 minutes", "no_action", 31_200);
    expect(await failureOf(compare())).toContain("Retrigger made no decision about default since");
  });

  it("pairs the DAG's rows with decisions on the same checks, in the zone of the settings", async () => {
    await addRatings(world, 5);
    await world.sql(
      `INSERT INTO drift_alerts (id, alert_date, feature_name, drift_score, threshold, alert_triggered)
       VALUES (148, now() AT TIME ZONE 'Asia/Tokyo' - interval '1 hour', 'ks', 0.0975, 0.05, true)`,
    );
    await world.startApp();
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock" });
    await addDagRow("2 minutes", "trigger_mock", 60_000);
    await addDagRow("1 minute", "trigger_mock", 60_000);
    const { pairs, agreeing, differences, doubts } = await compare();
    expect({ pairs, agreeing, doubts }).toEqual({ pairs: 3, agreeing: 1, doubts: [] });
    expect(differences.map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      "other_threshold: buffer: 5 required, 50,000 in the DAG",
      "already_acted_on: fired 2 times on alert 148",
    ]);
  });

  it("finds the DAG's rows although the model was renamed, unless another model has their name", async () => {
    await world.sql("UPDATE retraining_decisions SET model = 'films' WHERE run_id IS NOT NULL");
    const own = world.config.models.get("default");
    if (!own) throw new Error("the settings name no model default");
    const renamed = { models: new Map([["films", own]]) };
    expect(await compareModel(renamed, database, "films", PERIOD)).toMatchObject({ pairs: 3 });
    const both = { models: new Map([...renamed.models, ["default", own]]) };
    expect(await failureOf(compareModel(both, database, "films", PERIOD))).toContain(
      "Its rows are those of the model default",
    );
    await world.sql("UPDATE retraining_decisions SET model = 'default'");
  });

  it("ends with 1 if a difference has no explanation, and with 0 otherwise", async () => {
    const run = () => runScript("src/cli.ts", ["parity", "--since", "1d"], world.settings);
    expect(await run()).toMatchObject({ code: 0, stderr: "" });
    await addCheck(world, { age: "-9 hours", triggered: false });
    await world.decide();
    await addDagRow("0 minutes", "no_action", 60_000);
    await world.sql(
      "UPDATE retraining_decisions SET decision = 'trigger_mock', reason_codes = '{drift_detected}' WHERE id = (SELECT max(id) FROM retraining_decisions WHERE run_id IS NOT NULL)",
    );
    const { code, stdout } = await run();
    expect(code).toBe(1);
    expect(stdout).toContain("1  unexplained");
  });
});
