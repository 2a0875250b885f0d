import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Evidence } from "../../src/core/evidence.ts";
import { GUIDE_POLICY } from "../../src/core/policy.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { describePruned } from "../../src/core/verification/verification.ts";
import type { RecordedRow } from "../../src/postgres/verification.ts";
import { createLogger } from "../../src/process/logger.ts";
import { compareAnchors } from "../../src/use-cases/verify/anchors.ts";
import { checkRow, hashLink } from "../../src/use-cases/verify/check-row.ts";
import { createRowChecker } from "../../src/use-cases/verify/row-checker.ts";
import { verifyAll } from "../../src/use-cases/verify/verify-all.ts";
import { verifyOne } from "../../src/use-cases/verify/verify-one.ts";
import { guideEvidence } from "../support/evidence.ts";
import { openRecorder, recordCase, recordHistory } from "../support/recorded-history.ts";
import { createWorld, type World } from "../support/world.ts";

const MODELS = ["films", "search"] as const;
const DECISIONS = 7;
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

let world: World;
let database: Database;
/** The ids of the decisions about films, oldest first. */
let films: number[];

beforeAll(async () => {
  world = await createWorld();
  database = openRecorder(world);
  await recordHistory(world, database, { models: MODELS, decisions: DECISIONS, seed: SEED });
  films = await idsOf("films");
  await world.sql("CREATE TABLE untouched AS SELECT * FROM retraining_decisions");
});
afterEach(restore);
afterAll(async () => {
  await database.close();
  await world.close();
});

async function restore(): Promise<void> {
  await world.sql("DELETE FROM retraining_pruned");
  await world.sql("DELETE FROM retraining_decisions");
  await world.sql("INSERT INTO retraining_decisions SELECT * FROM untouched ORDER BY id");
}

async function idsOf(model: string): Promise<number[]> {
  const rows = await world.sql<{ id: number }>(
    "SELECT id FROM retraining_decisions WHERE model = $1 ORDER BY id",
    [model],
  );
  return rows.map(({ id }) => id);
}

const nth = (place: number): number => films.at(place) ?? 0;

/** The faults that verifying everything finds: what kind, and at which decision. */
async function findFaults(): Promise<[kind: string, id: number | null][]> {
  const { faults } = await verifyAll(database, { model: null });
  return faults.map(({ kind, decisionId }) => [kind, decisionId]);
}

async function readRow(id: number): Promise<RecordedRow> {
  const [row] = await database.readRecorded({ model: null, after: id - 1, upTo: id, limit: 1 });
  if (!row) throw new Error(`no decision ${id}`);
  return row;
}

/** Writes the hashes that a row would have as it stands, after another one: as a forger does who knows how. */
async function rehash(id: number, previous: string | null): Promise<string> {
  const { content } = checkRow(await readRow(id));
  await world.sql(
    "UPDATE retraining_decisions SET content_sha256 = decode($2, 'hex'), previous_sha256 = decode($3, 'hex') WHERE id = $1",
    [id, content, previous],
  );
  const sha256 = hashLink(await readRow(id));
  await world.sql("UPDATE retraining_decisions SET sha256 = decode($2, 'hex') WHERE id = $1", [id, sha256]);
  return sha256;
}

/** Copies a decision to another number, with a run of its own; `without` names the columns that are left out. */
async function forge(from: number, id: number, without: readonly string[] = []): Promise<void> {
  await world.sql("ALTER TABLE retraining_decisions DISABLE TRIGGER retraining_decisions_chained");
  const [row] = await world.sql("SELECT * FROM retraining_decisions WHERE id = $1", [from]);
  const columns = Object.keys(row ?? {}).filter(
    (name) => !["id", "run_id", "previous_id", ...without].includes(name),
  );
  await world.sql(
    `INSERT INTO retraining_decisions (id, run_id, previous_id, ${columns.join()})
     SELECT $1, gen_random_uuid(), 100000, ${columns.join()} FROM retraining_decisions WHERE id = $2`,
    [id, from],
  );
  await world.sql("ALTER TABLE retraining_decisions ENABLE TRIGGER retraining_decisions_chained");
}

describe(`a recorded history (SEED=${SEED})`, () => {
  it("is verified without a fault, in this thread and in others", async () => {
    const verification = await verifyAll(database, { model: null });
    expect(verification).toMatchObject({ decisions: 2 * DECISIONS, faults: [], faultCount: 0 });
    expect(Object.values(verification.uncovered)).toEqual([0, 0, 0, 0]);
    const checker = createRowChecker(2);
    try {
      expect(await verifyAll(database, { model: null, checker })).toEqual(verification);
      // Once a thread has died, no page waits for it.
      await expect(checker.check([null] as never)).rejects.toThrow("null");
      for (let page = 0; page < 2; page += 1) await expect(checker.check([])).rejects.toThrow("null");
    } finally {
      await checker.close();
    }
  });

  it.each([
    ["run_id", "gen_random_uuid()"],
    ["cause", "'manual'"],
    ["decision", "CASE WHEN decision = 'no_action' THEN 'trigger_mock' ELSE 'no_action' END"],
    ["reason", "'snoozed'"],
    ["reason_codes", "'{snoozed}'"],
    ["buffer_size", "buffer_size + 1"],
    ["drift_score", "COALESCE(drift_score, 0) + 1e-9"],
    ["drift_score", "'NaN'"],
    ["drift_ratio", "COALESCE(drift_ratio, 0) + 1e-9"],
    ["notes", "notes || ' '"],
    ["trainer", "'github'"],
    ["evidence", "jsonb_set(evidence, '{buffer,batchCount}', '99')"],
    ["evidence", "jsonb_set(evidence, '{buffer,batchCount}', '1e400')"],
    ["evidence", "jsonb_set(evidence, '{takenAt}', '\"noon\"')"],
    ["criteria", "'[]'"],
    ["policy", `'{"when":{"bufferSize":{"atLeast":1}},"guards":{}}'`],
    ["policy", `'{"when":{"noSuchCriterion":1},"guards":{}}'`],
    ["policy_hash", "'0123456789ab'"],
    ["alert_ids", "alert_ids || 'x@y'::text"],
    ["previous_id", "previous_id + 100000"],
    ["taken_at", "taken_at + interval '1 microsecond'"],
    ["next_look_at", "COALESCE(next_look_at, now()) + interval '1 microsecond'"],
    ["newest_alert_at", "COALESCE(newest_alert_at, now()) + interval '1 microsecond'"],
    ["explanation", "jsonb_set(explanation, '{why}', '\"because\"')"],
    ["forced", `'{"by":"operator","reason":"an experiment"}'`],
    ["evaluator", "NULL"],
    ["shadow", `'{"decision":"trigger"}'`],
    ["decision_date", "decision_date - interval '1 microsecond'"],
    ["content_sha256", "sha256('x')"],
    ["previous_sha256", "sha256('x')"],
    ["sha256", "sha256('x')"],
    ["sha256", "NULL"],
  ])("names the decision whose %s was changed to %s", async (column, value) => {
    const id = nth(3);
    await world.sql(`UPDATE retraining_decisions SET ${column} = ${value} WHERE id = $1`, [id]);
    const found = await findFaults();
    expect(found).toContainEqual(["changed", id]);
    expect(found.every(([, at]) => at === id)).toBe(true);
    const { faults } = await verifyOne(database, id);
    expect(faults.map(({ decisionId }) => decisionId)).toContain(id);
  });

  it("says what a column was, if the evidence tells", async () => {
    const before = (await readRow(nth(3))).bufferSize;
    await world.sql("UPDATE retraining_decisions SET buffer_size = 777777 WHERE id = $1", [nth(3)]);
    const { faults } = await verifyAll(database, { model: "films" });
    expect(faults.map(({ text }) => text)).toEqual([
      `#${nth(3)} was changed: buffer_size is 777777, but its evidence and policy give ${before}`,
    ]);
  });

  it("names a removed decision, and the gap where its number is not known", async () => {
    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [nth(3)]);
    expect(await findFaults()).toEqual([["removed", nth(3)]]);
    expect((await verifyOne(database, nth(4))).faults).toMatchObject([
      { kind: "removed", decisionId: nth(3) },
    ]);
    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [nth(0)]);
    expect(await findFaults()).toEqual([
      ["removed", nth(0)],
      ["removed", nth(3)],
    ]);
  });

  it("excuses no decision as from before hashes whose hashes are continued", async () => {
    const strip = (where: string) =>
      world.sql(
        `UPDATE retraining_decisions SET evaluator = NULL, content_sha256 = NULL, previous_sha256 = NULL, sha256 = NULL
         WHERE model = 'films' AND ${where}`,
      );
    await strip(`id < ${nth(3)}`);
    // The evidence is edited too, and the verdict still follows.
    await world.sql("UPDATE retraining_decisions SET notes = 'another' WHERE id = $1", [nth(1)]);
    const { faults } = await verifyAll(database, { model: "films" });
    expect(faults.map(({ text }) => text)).toEqual([
      `#${nth(2)} was changed: its hashes were removed, which #${nth(3)} continues`,
    ]);

    await world.sql("DELETE FROM retraining_decisions WHERE model = 'films' AND id > $1 AND id < $2", [
      nth(0),
      nth(-1),
    ]);
    // What is left says which decision is gone, or else that what it continues is.
    expect(await findFaults()).not.toEqual([]);
    await world.sql("UPDATE retraining_decisions SET previous_id = 100000 WHERE id = $1", [nth(-1)]);
    const { faults: left } = await verifyAll(database, { model: "films" });
    expect(left.map(({ text }) => text)).toContain(
      `#${nth(0)} was changed: its hashes were removed, which #${nth(-1)} continues`,
    );
  });

  it("names every decision whose hashes were removed, with those of all others too", async () => {
    await world.sql(
      "UPDATE retraining_decisions SET content_sha256 = NULL, previous_sha256 = NULL, sha256 = NULL WHERE model = 'films'",
    );
    const { faults } = await verifyAll(database, { model: "films" });
    expect(faults.map(({ decisionId }) => decisionId)).toEqual(films);
    for (const { text } of faults) expect(text).toContain("its hashes were removed");
  });

  it("verifies decisions whatever their ids are", async () => {
    for (const id of [0, -5, -(2 ** 31)]) {
      await world.sql("UPDATE retraining_decisions SET id = $1, notes = 'another' WHERE id = $2", [
        id,
        nth(0),
      ]);
      expect(await findFaults()).toContainEqual(["changed", id]);
      expect(await verifyAll(database, { model: "films" })).toMatchObject({ decisions: DECISIONS });
      await world.sql("UPDATE retraining_decisions SET id = $2 WHERE id = $1", [id, nth(0)]);
    }
  });

  it("names a decision that was inserted, with hashes or without", async () => {
    const id = nth(3) + 1;
    await forge(nth(3), id, ["content_sha256", "previous_sha256", "sha256"]);
    expect(await findFaults()).toContainEqual(["inserted", id]);
    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [id]);

    await world.sql("DROP INDEX retraining_decisions_chained");
    await forge(nth(3), id);
    await rehash(id, (await readRow(nth(3))).sha256);
    expect((await findFaults()).filter(([kind]) => kind === "inserted")).toEqual([["inserted", id]]);
    expect((await verifyOne(database, id)).faults.map(({ kind }) => kind)).toContain("inserted");
    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [id]);
    await world.sql(
      "CREATE UNIQUE INDEX retraining_decisions_chained ON retraining_decisions (model, COALESCE(previous_sha256, '')) WHERE sha256 IS NOT NULL",
    );
  });

  it("lets no second decision continue the same one", async () => {
    await expect(forge(nth(3), nth(3) + 1)).rejects.toThrow("retraining_decisions_chained");
    await world.sql("ALTER TABLE retraining_decisions ENABLE TRIGGER retraining_decisions_chained");
  });

  it("names both decisions whose evidence was swapped", async () => {
    const [one, other] = [nth(2), nth(4)];
    await world.sql(
      `UPDATE retraining_decisions AS decision SET evidence = other.evidence, criteria = other.criteria, taken_at = other.taken_at
       FROM retraining_decisions AS other WHERE (decision.id, other.id) IN (($1::int, $2::int), ($2::int, $1::int))`,
      [one, other],
    );
    const changed = (await findFaults()).filter(([kind]) => kind === "changed").map(([, id]) => id);
    expect([...new Set(changed)]).toEqual([one, other]);
  });

  it("says under which name the decisions of a renamed model were recorded", async () => {
    await world.sql("UPDATE retraining_decisions SET model = 'movies' WHERE id = ANY($1)", [
      films.slice(0, 5),
    ]);
    const { faults } = await verifyAll(database, { model: "movies" });
    expect(faults).toHaveLength(5);
    expect(faults[0]?.text).toBe(
      `#${nth(0)} was changed: model is "movies", but it was recorded about "films"`,
    );
    await expect(verifyAll(database, { model: "moves" })).rejects.toThrow(
      'no decision about a model "moves". Models with records: films, movies, search',
    );
  });

  it("finds an end that was rewritten or cut off by the kept heads alone", async () => {
    const kept = await database.listHeads(null);
    const compare = async () =>
      (await compareAnchors(kept, database.readHash, await database.listPruned())).faults.map(
        ({ text }) => text,
      );
    expect(kept.map(({ model, decisionId }) => [model, decisionId])).toContainEqual(["films", nth(-1)]);
    expect(await compare()).toEqual([]);

    await world.sql("UPDATE retraining_decisions SET notes = 'another' WHERE id = $1", [nth(-1)]);
    await rehash(nth(-1), (await readRow(nth(-2))).sha256);
    expect(await findFaults()).toEqual([]);
    expect(await compare()).toEqual([
      `#${nth(-1)} has another hash than the kept head of films: it, or what was before it, was rewritten`,
    ]);

    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [nth(-1)]);
    expect(await findFaults()).toEqual([]);
    expect((await compare())[0]).toContain(`#${nth(-1)} is gone, but it was the head of films`);
  });

  it("goes on where it was pruned, and only there", async () => {
    const prune = (hash: string | null) =>
      world.sql(
        "INSERT INTO retraining_pruned (model, decision_id, sha256, decisions) VALUES ('films', $1, decode($2, 'hex'), 3)",
        [nth(2), hash],
      );
    await prune((await readRow(nth(2))).sha256);
    await world.sql("DELETE FROM retraining_decisions WHERE id = ANY($1)", [films.slice(0, 3)]);
    expect(await findFaults()).toEqual([]);
    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [nth(3)]);
    expect(await findFaults()).toEqual([["removed", nth(3)]]);
    await world.sql("DELETE FROM retraining_decisions WHERE model = 'films'");
    expect(await findFaults()).toEqual([["removed", null]]);
  });

  it.each([
    [1, 1],
    [3, 3],
    [1, 5],
    [2, 4],
    [4, 5],
  ])("is verified while it is pruned, up to its decisions %i and %i", async (first, second) => {
    const pruneTo = (id: number) =>
      world.sql(
        `WITH removed AS (DELETE FROM retraining_decisions WHERE model = 'films' AND id <= $1 RETURNING id, sha256)
         INSERT INTO retraining_pruned (model, decision_id, sha256, decisions)
         SELECT 'films', max(id), (array_agg(sha256 ORDER BY id DESC))[1], count(*) FROM removed HAVING count(*) > 0
         ON CONFLICT (model) DO UPDATE SET decision_id = excluded.decision_id, sha256 = excluded.sha256`,
        [id],
      );
    for (const forged of [null, nth(6)]) {
      let reads = 0;
      const pruning: typeof database = {
        ...database,
        async readRecorded(range) {
          reads += 1;
          if (reads === 2) await pruneTo(nth(first - 1));
          const rows = await database.readRecorded(range);
          if (reads === 3) await pruneTo(nth(second - 1));
          return rows;
        },
      };
      if (forged !== null)
        await world.sql("UPDATE retraining_decisions SET previous_sha256 = sha256('x') WHERE id = $1", [
          forged,
        ]);
      const { faults } = await verifyAll(pruning, { model: "films", pageRows: 2 });
      expect(faults.map(({ decisionId }) => decisionId)).toEqual(forged === null ? [] : [forged]);
      await restore();
    }
  });

  it("takes no record of pruned decisions at its word that the rows contradict", async () => {
    const kept = [await database.listHeads("films"), await database.listHeads("search")].flat();
    const compare = async () => compareAnchors(kept, database.readHash, await database.listPruned());
    const forgeRecord = async (id: number, hash: string | null) => {
      await world.sql("DELETE FROM retraining_pruned");
      await world.sql(
        "INSERT INTO retraining_pruned (model, decision_id, sha256, decisions) VALUES ('films', $1, decode($2, 'hex'), 9)",
        [id, hash],
      );
    };
    // The end is cut off, and the record covers it.
    await world.sql("DELETE FROM retraining_decisions WHERE model = 'films' AND id > $1", [nth(3)]);
    await forgeRecord(1_000_000, null);
    expect(await compare()).toEqual({ faults: [], pruned: 1 });
    const { faults, pruned } = await verifyAll(database, { model: null });
    expect(faults.map(({ kind, decisionId }) => [kind, decisionId])).toEqual([["changed", nth(0)]]);
    expect(faults[0]?.text).toContain(`#${nth(0)} is there, although retraining_pruned says`);
    expect(describePruned({ pruned })).toEqual(["films: 9 decisions up to #1000000 were pruned"]);

    // The record ends before the oldest row, which does not continue it.
    const hash = (await readRow(nth(0))).sha256;
    await world.sql("DELETE FROM retraining_decisions WHERE model = 'films' AND id < $1", [nth(2)]);
    await forgeRecord(nth(1), hash);
    expect(await findFaults()).toHaveLength(1);
    await world.sql("DELETE FROM retraining_decisions WHERE model = 'films'");
    await forgeRecord(1_000_000, null);
    expect(await findFaults()).toEqual([["removed", null]]);
  });

  it("says which rows are not covered: those of the DAG, from before hashes, of an older worker", async () => {
    await world.sql("INSERT INTO retraining_decisions (model, decision) VALUES ('films', 'no_action')");
    await world.sql(
      `INSERT INTO retraining_decisions (model, run_id, previous_id, decision, reason, trainer, evidence, policy, taken_at, sha256)
       SELECT 'old', gen_random_uuid(), NULL, decision, reason, trainer, evidence, policy, taken_at, NULL
       FROM retraining_decisions WHERE id = $1`,
      [nth(1)],
    );
    await recordCase(world, database, { model: "old", evidence: guideEvidence(), policy: GUIDE_POLICY });
    expect(await verifyAll(database, { model: null })).toMatchObject({
      faults: [],
      uncovered: { dag: 1, unchained: 1 },
    });

    await world.sql(
      "UPDATE retraining_decisions SET content_sha256 = NULL, previous_sha256 = NULL, sha256 = NULL WHERE model = 'films' AND id < $1",
      [nth(3)],
    );
    await world.sql(
      "UPDATE retraining_decisions SET reason = 'other', reason_codes = '{other}' WHERE id = $1",
      [nth(1)],
    );
    expect(await findFaults()).toContainEqual(["verdict", nth(1)]);
  });

  it("covers a row that an older worker wrote between others by the decision after it", async () => {
    // A version without hashes writes none of these columns.
    const asOlder = (id: number) =>
      world.sql(
        `UPDATE retraining_decisions SET evaluator = NULL, shadow = NULL, content_sha256 = NULL, previous_sha256 = NULL, sha256 = NULL
         WHERE id = $1`,
        [id],
      );
    await asOlder(nth(-1));
    await recordCase(world, database, { model: "films", evidence: guideEvidence(), policy: GUIDE_POLICY });
    expect(await verifyAll(database, { model: null })).toMatchObject({
      faults: [],
      uncovered: { unchained: 1 },
    });
    expect(await verifyOne(database, nth(-1))).toMatchObject({ coverage: "unchained", faults: [] });

    const id = nth(3) + 1;
    await forge(nth(3), id, ["evaluator", "shadow", "content_sha256", "previous_sha256", "sha256"]);
    expect(await findFaults()).toEqual([["inserted", id]]);
    expect((await verifyOne(database, id)).faults).toMatchObject([{ kind: "inserted", decisionId: id }]);
    await world.sql("DELETE FROM retraining_decisions WHERE id = $1", [id]);

    await asOlder(nth(3));
    expect(await findFaults()).toEqual([["changed", nth(3)]]);
    expect((await verifyOne(database, nth(3))).faults).toMatchObject([
      { kind: "changed", decisionId: nth(3) },
    ]);
  });

  it("lets rows be restored as they were, those from before hashes too, whatever the search path", async () => {
    await world.sql(
      `UPDATE retraining_decisions SET evaluator = NULL, shadow = NULL, content_sha256 = NULL, previous_sha256 = NULL, sha256 = NULL
       WHERE model = 'films' AND id < $1`,
      [nth(3)],
    );
    await world.sql("UPDATE retraining_decisions SET previous_sha256 = NULL WHERE id = $1", [nth(3)]);
    const { schema } = (await world.sql<{ schema: string }>("SELECT current_schema() AS schema"))[0] ?? {};
    const sha256 = hashLink(await readRow(nth(3)));
    await world.sql("UPDATE retraining_decisions SET sha256 = decode($2, 'hex') WHERE id = $1", [
      nth(3),
      sha256,
    ]);
    await world.sql(`CREATE TABLE kept AS SELECT * FROM retraining_decisions;
      DELETE FROM retraining_decisions;
      BEGIN; SET LOCAL search_path = '';
      INSERT INTO ${schema}.retraining_decisions SELECT * FROM ${schema}.kept ORDER BY id;
      INSERT INTO ${schema}.retraining_decisions (run_id, model, decision, content_sha256)
        VALUES (gen_random_uuid(), 'restored', 'no_action', sha256('x'));
      COMMIT`);
    expect(
      await world.sql(
        `SELECT id FROM retraining_decisions AS now FULL JOIN kept USING (id) WHERE now.sha256 IS DISTINCT FROM kept.sha256
         AND now.model <> 'restored'`,
      ),
    ).toEqual([]);
    await world.sql("DROP TABLE kept; DELETE FROM retraining_decisions WHERE model = 'restored'");
  });

  it("keeps every figure and text that JSON can hold", async () => {
    const guide = guideEvidence();
    const figures = [1e21, 1e-7, -0, 5e-324, 0.1 + 0.2, 1.7976931348623157e308, 1234567.1234567];
    for (const [index, score] of figures.entries()) {
      const feature = ["😀ﬁ", 'a"b\\c\u007f', "ä̈", "{x,NULL}"][index % 4] ?? "";
      const [newest] = guide.checks.newest;
      const check = { ...newest, id: "148", checkedAt: "2025-12-21T14:54:00.020123+00:00", feature, score };
      const checks = { ...guide.checks, newest: [check], newestTriggered: [check] } as typeof guide.checks;
      const alerts = { ...guide.alerts, ids: [`${feature}@x`, "NULL", '"'] };
      const evidence = Evidence.parse({ ...guide, checks, alerts });
      expect(
        await recordCase(world, database, { model: "odd", evidence, policy: GUIDE_POLICY }),
      ).not.toBeNull();
    }
    const url = new URL(world.config.databaseUrl);
    url.searchParams.set("options", "-c extra_float_digits=0");
    const rounding = createDatabase({ ...world.config, databaseUrl: url.href }, createLogger("silent"));
    try {
      const verification = await verifyAll(rounding, { model: "odd" });
      expect(verification).toMatchObject({ decisions: figures.length, faults: [] });
    } finally {
      await rounding.close();
    }
  });
});
