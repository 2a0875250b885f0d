import { mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ArchivedDatabase, describeCutOff, openArchive } from "../../../src/use-cases/prune/archive.ts";
import { failureOf } from "../../support/world.ts";

const ID = "2026-01-01T00:00:00Z";
/** Of the decisions, so many were pruned. */
const havingPruned = (decisions: number, id = ID): ArchivedDatabase => ({
  id,
  hasRow: async (table, row) => table === "retraining_decisions" && row > decisions,
  countPruned: async () => decisions,
});
const DATABASE = havingPruned(2);
const decision = (id: number): string =>
  JSON.stringify({ table: "retraining_decisions", row: { id, notes: `${Math.sin(id)}`.repeat(20) } });
let directory: string;
let count = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "archive-"));
});
afterAll(() => rm(directory, { recursive: true }));

/** A new archive with a batch for each list of lines. */
async function createArchive(...batches: string[][]): Promise<string> {
  count += 1;
  const path = join(directory, `${count}.jsonl.gz`);
  const archive = await openArchive(path, DATABASE);
  for (const lines of batches) await archive.append(lines);
  await archive.close();
  return path;
}

/** Its lines without the first, which says what it is, as any program would unpack them. */
async function linesOf(path: string): Promise<string[]> {
  return gunzipSync(await readFile(path))
    .toString()
    .trimEnd()
    .split("\n")
    .slice(1);
}

async function append(path: string, lines: string[]): Promise<number> {
  const archive = await openArchive(path, DATABASE);
  await archive.append(lines);
  await archive.close();
  return archive.cutOff;
}

describe("an archive", () => {
  it("is a gzip file that any program unpacks, and that a further prune appends to", async () => {
    const path = await createArchive(["a", "b"], ["c"]);
    expect(await append(path, ["d", "é"])).toBe(0);
    expect(await linesOf(path)).toEqual(["a", "b", "c", "d", "é"]);
    expect(
      JSON.parse(
        gunzipSync(await readFile(path))
          .toString()
          .split("\n")[0] ?? "",
      ),
    ).toEqual({
      retrigger: "archive",
      version: 1,
      database: ID,
    });
  });

  it("is cut back to the last whole record, if the rows of the torn one were not removed", async () => {
    const whole = await createArchive([decision(1)], [decision(2)]);
    const { length } = await readFile(whole);
    const full = await readFile(
      await createArchive([decision(1)], [decision(2)], [decision(3), decision(4)]),
    );
    const path = join(directory, "cut.jsonl.gz");
    let cut = 0;
    for (let end = length + 1; end < full.length; end += 1) {
      await writeFile(path, full.subarray(0, end));
      const failure = await failureOf(append(path, ["again"])).catch(() => null);
      if (failure === null) {
        cut += 1;
        expect(await linesOf(path)).toEqual([decision(1), decision(2), "again"]);
      } else {
        expect(failure).toContain("and what follows cannot be read");
        expect(await readFile(path)).toEqual(full.subarray(0, end));
      }
    }
    expect(cut).toBeGreaterThan(50);
    expect(describeCutOff("x.gz", { cutOff: 12 })).toContain("x.gz ends in the middle of a record");
    expect(describeCutOff("x.gz", { cutOff: 0 })).toBe(null);
  });

  it("is refused, and stays as it is, if the rows of the torn record were removed", async () => {
    const path = await createArchive([decision(1)], [decision(2)], [decision(3)]);
    const torn = (await readFile(path)).subarray(0, -5);
    await writeFile(path, torn);
    expect(await failureOf(openArchive(path, havingPruned(7)))).toMatch(
      /row 3 of retraining_decisions, which follows, was removed.*At most 5 decisions are lost.*Name another file/,
    );
    expect(await readFile(path)).toEqual(torn);
  });

  it("is readable by its owner only", async () => {
    expect((await stat(await createArchive())).mode & 0o777).toBe(0o600);
  });

  it("is refused if less than its first record is left, unless it is empty", async () => {
    const path = await createArchive();
    for (const end of [30, 23, 1]) {
      await truncate(path, end);
      expect(await failureOf(openArchive(path, DATABASE))).toContain("At most 2 decisions are lost");
    }
    await truncate(path, 0);
    expect(await append(path, ["a"])).toBe(0);
    expect(await linesOf(path)).toEqual(["a"]);
  });

  it("is cut back if its last record has its length but not its content", async () => {
    const long = Array.from({ length: 50 }, (_, index) => decision(3 + index));
    const path = await createArchive(["a"], long);
    const content = await readFile(path);
    await writeFile(path, content.fill(0, content.length - 20));
    expect(await append(path, ["again"])).toBeGreaterThan(0);
    expect(await linesOf(path)).toEqual(["a", "again"]);
  });

  it("never overwrites a file that is something else, damaged, or of another database", async () => {
    const path = join(directory, "other");
    for (const content of ["notes", "x".repeat(100), gzipSync("x".repeat(100))]) {
      await writeFile(path, content);
      expect(await failureOf(openArchive(path, DATABASE))).toContain(
        "it is something else. Name another file",
      );
      expect(await readFile(path)).toEqual(Buffer.from(content));
    }
    const own = await createArchive(["a"]);
    expect(await failureOf(openArchive(own, havingPruned(0, "another")))).toContain(
      "it has the rows of another database",
    );
    const damaged = Buffer.concat([await readFile(own), Buffer.alloc(40)]);
    await writeFile(own, damaged);
    expect(await failureOf(openArchive(own, DATABASE))).toContain("it is damaged after byte");
    expect(await readFile(own)).toEqual(damaged);
    expect(await failureOf(openArchive(join(directory, "no", "x"), DATABASE))).toContain(
      "its directory does not exist",
    );
  });
});
