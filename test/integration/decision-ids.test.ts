import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addCheck, createWorld, failureOf, type World } from "../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" }, isUnmigrated: true });
  await addCheck(world);
});
afterEach(() => world.close());

const COLUMNS = `id INTEGER PRIMARY KEY, decision_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP, decision VARCHAR(20),
  reason TEXT, buffer_size INTEGER, drift_score FLOAT, notes TEXT`;

describe("a decision table that was created by hand", () => {
  it.each([
    [
      "a sequence that it does not own",
      `CREATE SEQUENCE dag_ids; CREATE TABLE retraining_decisions (${COLUMNS});
       ALTER TABLE retraining_decisions ALTER COLUMN id SET DEFAULT nextval('dag_ids')`,
    ],
    [
      "the sequence of the table that it was copied from",
      `CREATE TABLE template (${COLUMNS.replace("INTEGER PRIMARY KEY", "SERIAL PRIMARY KEY")});
       INSERT INTO template (decision) SELECT 'no_action' FROM generate_series(1, 5);
       CREATE TABLE retraining_decisions (LIKE template INCLUDING ALL);
       INSERT INTO retraining_decisions SELECT * FROM template`,
    ],
    ["no sequence at all", `CREATE TABLE retraining_decisions (${COLUMNS})`],
    [
      "an identity",
      `CREATE TABLE retraining_decisions (${COLUMNS.replace("INTEGER PRIMARY KEY", "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY")})`,
    ],
  ])("takes its ids from %s: each run decides once", async (_, sql) => {
    await world.sql(sql);
    await world.startApp();
    const first = await world.decide();
    const second = await world.decide();
    expect([first.decision, second.reason]).toEqual(["trigger_mock", "already_acted_on"]);
    expect(second.decisionId).toBeGreaterThan(first.decisionId ?? Number.NaN);
    expect(await world.sql("SELECT FROM retraining_decisions WHERE run_id IS NOT NULL")).toHaveLength(2);
  });

  it("may be given another sequence while the service runs", async () => {
    await world.startApp();
    await world.decide();
    await world.sql("CREATE SEQUENCE dag_ids");
    await world.sql("ALTER TABLE retraining_decisions ALTER COLUMN id SET DEFAULT nextval('dag_ids')");
    await world.sql("DROP SEQUENCE retraining_decisions_id_seq");
    expect((await world.decide()).decisionId).toBeGreaterThan(1);
  });

  it("that loses its sequence while the service runs makes the run fail with the remedy, without endless retries", async () => {
    await world.startApp();
    await world.decide();
    await world.sql("ALTER TABLE retraining_decisions ALTER COLUMN id DROP DEFAULT");
    await world.sql("DROP SEQUENCE retraining_decisions_id_seq");
    const failure = await failureOf(world.decide());
    expect(failure).toContain("ALTER TABLE retraining_decisions ALTER COLUMN id SET DEFAULT nextval");
    expect(await world.client.inbox.getJobCountByTypes("delayed", "waiting", "prioritized", "active")).toBe(
      0,
    );
  });

  it("with ids above its sequence has its sequence moved forward", async () => {
    await world.startApp();
    await world.sql("INSERT INTO retraining_decisions (id, decision) VALUES (500, 'no_action')");
    expect((await world.decide()).decisionId).toBe(501);
  });
});
