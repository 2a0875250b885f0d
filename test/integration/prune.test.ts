import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runScript, spawnScript } from "../support/process.ts";
import { OWNED } from "../../src/postgres/prune/batches.ts";
import { addCheck, addRatings, createWorld, until, type World } from "../support/world.ts";

const OLD = 8_000;

let world: World;
let directory: string;
let archive: string;

beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "1" } });
  directory = await mkdtemp(join(tmpdir(), "prune-"));
  archive = join(directory, "old.jsonl.gz");
  await addCheck(world);
  await addRatings(world, 3);
  await addOldDecisions(OLD);
  await world.startApp();
});
afterAll(async () => {
  await world.close();
  await rm(directory, { recursive: true });
});

const prune = (...args: string[]) => runScript("src/cli.ts", ["prune", ...args], world.settings);

/** Decisions of a year ago, a minute apart, each with an event, every tenth with a training that succeeded. */
async function addOldDecisions(count: number): Promise<void> {
  await world.sql(
    `WITH decided AS (
       INSERT INTO retraining_decisions (run_id, model, decision_date, taken_at, decision, reason, trainer, previous_id, evidence,
         content_sha256)
       SELECT gen_random_uuid(), 'default', at AT TIME ZONE 'UTC', at, 'no_action', 'no_drift_alerts', 'mock', NULLIF(step - 1, 0),
         jsonb_build_object('text', repeat('x', 100)), sha256(step::text::bytea)
       FROM generate_series(1, $1::int) AS step, LATERAL (SELECT now() - interval '1 year' + step * interval '1 minute') AS a (at)
       ORDER BY step RETURNING id, taken_at
     ), dispatched AS (
       INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, created_at, updated_at, ended_at)
       SELECT id, 'default', 'command', 'succeeded', '{}', taken_at, taken_at, taken_at FROM decided WHERE id % 10 = 0
     ), trained AS (
       INSERT INTO retraining_model_versions (registered_model, version, decision_id)
       SELECT 'default', id, id FROM decided WHERE id % 100 = 0
     )
     INSERT INTO retraining_events (model, event_run_id, job_key, payload, outcome, received_at, decision_id)
     SELECT 'default', 'old-' || id, 'old-' || id, E'{"a":\n1}', 'started', taken_at, id FROM decided`,
    [count],
  );
}

interface Row {
  table: string;
  row: { id: number; model?: string; sha256?: string };
}

async function readArchive(): Promise<Row[]> {
  const lines = gunzipSync(await readFile(archive))
    .toString()
    .trimEnd()
    .split("\n")
    .slice(1);
  return lines.map((line) => JSON.parse(line) as Row);
}

const countRows = async (): Promise<Record<string, unknown>> =>
  (
    await world.sql(
      `SELECT (SELECT count(*) FROM retraining_decisions WHERE taken_at < now() - interval '30 days')::int AS decisions`,
    )
  )[0] ?? {};

/** Decisions whose link in the chain is broken, also where pruning cut it. */
const BREAKS = `
SELECT id FROM (
  SELECT id, previous_sha256, COALESCE(lag(sha256) OVER (ORDER BY id), (SELECT sha256 FROM retraining_pruned WHERE model = 'default'))
    AS expected
  FROM retraining_decisions WHERE model = 'default' AND sha256 IS NOT NULL
) AS linked WHERE previous_sha256 IS DISTINCT FROM expected`;

describe("prune", () => {
  it("archives every table whose rows go with a decision", async () => {
    const owned = await world.sql<{ name: string }>(
      `SELECT DISTINCT conrelid::regclass::text AS name FROM pg_constraint
       WHERE contype = 'f' AND confdeltype = 'c'
         AND confrelid IN ('retraining_decisions'::regclass, 'retraining_dispatches'::regclass)`,
    );
    expect(owned.map(({ name }) => name).toSorted()).toEqual(Object.keys(OWNED).toSorted());
  });

  it("names what is wrong with its options before it removes anything", async () => {
    for (const [args, settings, fault] of [
      [["--before", "7d"], {}, "the last 30 days are always kept"],
      [["--before", "2999-01-01"], {}, "the last 30 days are always kept"],
      [["--before", "soon"], {}, "Must be an age such as 90d, a date such as"],
      [["--before", "90d", "--model", "nosuch"], {}, '"nosuch" is not in the settings'],
      [["--before", "90d"], { RETRIGGER_URL: "http://127.0.0.1:1", DATABASE_URL: "" }, "set DATABASE_URL"],
    ] as const) {
      const { code, stderr } = await runScript("src/cli.ts", ["prune", ...args], {
        ...world.settings,
        ...settings,
      });
      expect(stderr).toContain(fault);
      expect(code).toBe(1);
    }
  });

  it("loses no row if it is killed, continues, and lets the service decide meanwhile", async () => {
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock" });
    const args = ["prune", "--before", "180d", "--archive", archive];
    const child = spawnScript("src/cli.ts", args, world.settings);
    const ended = once(child, "close");
    await until("a part is removed", async () => Number((await countRows())["decisions"]) < OLD);
    child.kill("SIGKILL");
    await ended;
    const { decisions: left } = await countRows();
    expect(Number(left)).toBeGreaterThan(0);
    expect(await world.sql(BREAKS)).toEqual([]);

    const resumed = prune("--before", "180d", "--archive", archive, "--json");
    for (let event = 0; event < 5; event += 1)
      expect(await world.decide()).toMatchObject({ decision: "no_action", reason: "already_acted_on" });
    const { code, stdout, stderr } = await resumed;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [pruned] = (JSON.parse(stdout) as { models: { decisions: number }[] }).models;
    // Of the newest five decisions, some are old as long as the service has made fewer.
    const kept = Number((await countRows())["decisions"]);
    expect(Number(left) - kept).toBe(pruned?.decisions);
    expect(kept).toBeLessThanOrEqual(4);
    expect(await world.sql(BREAKS)).toEqual([]);

    const rows = await readArchive();
    const idsOf = (table: string) =>
      new Set(rows.filter((row) => row.table === table).map(({ row }) => row.id));
    const leftIds = await world.sql<{ id: number }>("SELECT id FROM retraining_decisions");
    expect(idsOf("retraining_decisions").size).toBe(OLD - kept);
    expect(leftIds.filter(({ id }) => idsOf("retraining_decisions").has(id))).toEqual([]);
    expect(idsOf("retraining_events").size).toBe(OLD);
    expect(idsOf("retraining_dispatches").size).toBeGreaterThanOrEqual(Math.floor((OLD - kept) / 10));
    expect(rows.filter(({ table }) => table === "retraining_model_versions").length).toBeGreaterThanOrEqual(
      Math.floor((OLD - kept) / 100),
    );
    const [{ removed, hash } = {}] = await world.sql(
      "SELECT decisions::int AS removed, encode(sha256, 'hex') AS hash FROM retraining_pruned WHERE model = 'default'",
    );
    expect(removed).toBe(OLD - kept);
    const newest = rows.findLast(({ table }) => table === "retraining_decisions");
    expect(newest?.row.sha256).toBe(`\\x${String(hash)}`);
    expect(
      await world.sql(
        "SELECT actor, target, result FROM retrigger_audit WHERE action = 'prune' AND target LIKE '%180d' ORDER BY id",
      ),
    ).toMatchObject([
      { target: "all models before 180d", result: null },
      { target: "all models before 180d", result: "done" },
    ]);
  });

  it("refuses an archive that lost rows which are gone", async () => {
    const copy = join(directory, "copy.jsonl.gz");
    const content = await readFile(archive);
    for (const length of [content.length - 10, Math.floor(content.length / 3)]) {
      const torn = content.subarray(0, length);
      await writeFile(copy, torn);
      const { code, stderr } = await prune("--before", "180d", "--archive", copy);
      expect(code).toBe(1);
      expect(stderr).toMatch(/it was cut off after it was written.*decisions are lost.*Name another file/s);
      expect(await readFile(copy)).toEqual(torn);
    }
    expect((await stat(archive)).mode & 0o777).toBe(0o600);
  });
});
