import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runScript } from "../../support/process.ts";
import { addCheck, addRatings, createWorld, type World } from "../../support/world.ts";

let world: World;
const role = `films_owner_${process.pid}`;
beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  await addCheck(world);
  await addRatings(world, 1_000, "b1");
  await addRatings(world, 1_000, "b2");
});
afterAll(async () => {
  await world.sql(
    `ALTER TABLE ratings_buffer OWNER TO CURRENT_USER; DROP OWNED BY ${role}; DROP ROLE ${role}`,
  );
  await world.close();
});

function retrigger(args: string[], settings: Record<string, string> = {}) {
  return runScript("src/cli.ts", args, { ...world.settings, ...settings });
}

describe("npx retrigger counters", () => {
  it("says which rights it lacks", async () => {
    await world.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'films'; ALTER TABLE ratings_buffer OWNER TO ${role};
      GRANT INSERT, SELECT, UPDATE ON retrigger_audit TO ${role}; GRANT SELECT ON retraining_buffer_counters, retraining_buffer_counts TO ${role}`);
    const url = new URL(world.settings["DATABASE_URL"] ?? "");
    url.username = role;
    url.password = "films";
    const settings = { DATABASE_URL: url.href };
    const refused = await retrigger(["counters", "install"], settings);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("No privilege");
    expect(refused.stderr).toContain("see docs/counters.md");
  });

  it("refuses a type whose text somebody else's cast could make, whoever calls its function", async () => {
    await world.sql("CREATE TYPE batch_name AS ENUM ('b1')");
    await expect(
      world.sql("SELECT retrigger_define_counter(1, 'batch', 'batch_name', NULL, NULL, false, 'me')"),
    ).rejects.toThrow("cannot be counted");
  });

  it("takes no type from its row that is none", async () => {
    await retrigger(["counters", "install"]);
    const [row] = await world.sql<{ type: string }>(
      "SELECT time_type AS type FROM retraining_buffer_counters",
    );
    await world.sql("UPDATE retraining_buffer_counters SET time_type = 'text || evil()'");
    const { code, stderr } = await retrigger(["counters", "verify"]);
    expect(code).toBe(1);
    expect(stderr).toContain('has the time_type "text || evil()", which is none');
    await world.sql("UPDATE retraining_buffer_counters SET time_type = $1", [row?.type]);
    expect((await retrigger(["counters", "remove"])).code).toBe(0);
  });

  it("works on tables in a schema of their own", async () => {
    const settings = { RETRIGGER_SCHEMA: "retrigger_films" };
    const { code, stderr } = await retrigger(["migrate"], settings);
    expect(code).toBe(0);
    expect(stderr).toContain("although there are some in public");
    expect(await retrigger(["counters", "install"], settings)).toMatchObject({
      code: 0,
      stdout: "✅ ratings_buffer: installed, 2,000 rows\n",
    });
    await addRatings(world, 10, "b3");
    expect((await retrigger(["counters", "verify"], settings)).stdout).toBe(
      "✅ ratings_buffer: matches its 2,010 rows\n",
    );
    expect((await retrigger(["counters", "remove"], settings)).stdout).toBe(
      "Removed the counter of ratings_buffer. Its rows are counted again.\n",
    );
    await world.sql("DELETE FROM ratings_buffer WHERE batch_id = 'b3'");
  });

  it("installs a counter, which report and doctor show, and verifies it", async () => {
    await retrigger(["counters", "install"]);
    expect((await retrigger(["counters", "install"])).stdout).toBe(
      "✅ ratings_buffer: recounted, 2,000 rows\n",
    );
    await addRatings(world, 10, "b3");
    const { stdout } = await retrigger(["counters", "status"]);
    expect(stdout).toMatch(/^ratings_buffer +1 +2,010 {2}sound$/m);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect((await retrigger(["counters", "verify"])).stdout).toBe(
      "✅ ratings_buffer: matches its 2,010 rows\n",
    );
    const report = (await retrigger(["decide", "--dry-run"])).stdout;
    expect(report).toContain("Current buffer size: 2,010 ratings\n   Counted by the table's counter\n");
    expect((await retrigger(["doctor"])).stdout).toContain("✅ ratings_buffer has a counter: 2,010 rows");
  });

  it("names each batch that differs, and exits with 1", async () => {
    await world.sql("UPDATE retraining_buffer_counts SET rows = rows + 1 WHERE batch = 'b1'");
    await world.sql("UPDATE retraining_buffer_counts SET latest = '7' WHERE batch = 'b2'");
    const { code, stdout } = await retrigger(["counters", "verify"]);
    expect(code).toBe(1);
    expect(stdout).toContain("❌ ratings_buffer: 2 batches differ");
    expect(stdout).toContain("b1: the counter has 1,001 rows, the table 1,000");
    expect(stdout).toContain("b2: the counter has times from 1700000001 to 7, the table from 1700000001 to");
  });

  it("says what became of a counter that is not sound, and installs it again", async () => {
    await world.sql("ALTER TABLE ratings_buffer DISABLE TRIGGER ALL");
    const status = await retrigger(["counters", "status"]);
    expect(status.stdout).toMatch(
      /not sound\n {2}It is not used, because a trigger of the counter was disabled/,
    );
    expect((await retrigger(["counters", "verify"])).code).toBe(1);
    const doctor = (await retrigger(["doctor"])).stdout;
    expect(doctor).toContain("its counter is not sound: a trigger of the counter was disabled");
    expect(doctor).toContain("→ npx retrigger counters install");
    expect(await retrigger(["decide", "--dry-run"])).toMatchObject({ code: 0, stderr: "" });
    expect((await retrigger(["decide", "--dry-run"])).stdout).toContain("the table's counter is not sound");
    expect((await retrigger(["counters", "install"])).stdout).toBe(
      "✅ ratings_buffer: reinstalled, 2,010 rows\n",
    );
    expect((await retrigger(["counters", "verify"])).code).toBe(0);
  });

  it("removes only what nothing uses any more, if asked to", async () => {
    await world.sql("CREATE TABLE passing (LIKE ratings_buffer)");
    await retrigger(["counters", "install"], { RATINGS_BUFFER_TABLE: "passing" });
    await world.sql("DROP TABLE passing");
    const remedy = "npx retrigger counters remove --unused";
    expect((await retrigger(["counters", "status"])).stdout.replaceAll(/\s+/g, " ")).toContain(
      `The table was dropped. Remove it with: ${remedy}`,
    );
    expect((await retrigger(["doctor"])).stdout).toContain(`→ ${remedy}`);
    expect((await retrigger(["counters", "remove", "--unused"])).stdout).toBe(
      "Removed an unused counter of passing.\n",
    );
    expect((await retrigger(["counters", "remove", "--unused"])).stdout).toBe("There is no such counter.\n");
    expect((await retrigger(["counters", "status"])).stdout).toMatch(/^ratings_buffer +1 +2,010 {2}sound$/m);
  });

  it("leaves a counter alone that a model with a table of that name in another database does not use", async () => {
    const file = join(await mkdtemp(join(process.cwd(), ".data", "counters-")), "retrigger.yaml");
    const source = { database: "FILMS_DATABASE_URL", buffer: { table: "ratings_buffer" } };
    await writeFile(file, JSON.stringify({ models: { near: {}, far: { source } } }));
    const settings = { RETRIGGER_CONFIG: file, FILMS_DATABASE_URL: world.settings["DATABASE_URL"] ?? "" };
    expect((await retrigger(["counters", "remove", "--model", "far"], settings)).stdout).toBe(
      "There is no such counter.\n",
    );
    expect((await retrigger(["counters", "verify"], settings)).stdout).toBe(
      "✅ ratings_buffer: matches its 2,010 rows\n",
    );
    await rm(dirname(file), { recursive: true });
  });

  it.each([
    ["is away", "RENAME TO elsewhere", "sound"],
    ["cannot be counted at the moment", "ENABLE ROW LEVEL SECURITY", "not sound"],
  ])("does not take a counter for unused whose table %s", async (_, change, word) => {
    await world.sql(`ALTER TABLE ratings_buffer ${change}`);
    const { stdout } = await retrigger(["counters", "status"]);
    expect(stdout).toMatch(new RegExp(`^ratings_buffer +1 +2,010 {2}${word}$`, "m"));
    expect(stdout).not.toContain("unused");
    expect((await retrigger(["counters", "remove", "--unused"])).stdout).toBe("There is no such counter.\n");
    await world.sql("ALTER TABLE IF EXISTS elsewhere RENAME TO ratings_buffer");
    await world.sql("ALTER TABLE ratings_buffer DISABLE ROW LEVEL SECURITY");
    await retrigger(["counters", "install"]);
    expect((await retrigger(["counters", "verify"])).code).toBe(0);
  });

  it("exits with 1 if a table that the settings name is missing, or one of its columns", async () => {
    const { code, stdout } = await retrigger(["counters", "install"], { RATINGS_BUFFER_TABLE: "nowhere" });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^❌ nowhere: Missing table in [^]*nowhere does not exist/);
  });

  it("says why a table cannot have one, and exits with 1 if that model was named", async () => {
    await world.sql("CREATE VIEW few AS SELECT * FROM ratings_buffer LIMIT 10");
    const { code, stdout } = await retrigger(["counters", "install", "--model", "default"], {
      RATINGS_BUFFER_TABLE: "few",
    });
    expect(code).toBe(1);
    expect(stdout).toContain("few: cannot have a counter: it is a view");
    const json = await retrigger(["counters", "status", "--json"], { RATINGS_BUFFER_TABLE: "few" });
    expect(JSON.parse(json.stdout)).toMatchObject([
      { table: "few", models: ["default"], counter: null },
      { table: "ratings_buffer", models: [], counter: { problem: null, rows: 2_010 } },
    ]);
    await retrigger(["counters", "remove"]);
    expect(await world.sql("SELECT FROM retraining_buffer_counts")).toEqual([]);
  });
});
