import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import canonicalize from "canonicalize";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createRedactor } from "../../src/process/redact.ts";
import { exportDecisions } from "../../src/use-cases/export/export.ts";
import type { ExportFormat } from "../../src/use-cases/export/formats.ts";
import { createLineageJudge } from "../support/openlineage.ts";
import { runScript } from "../support/process.ts";
import { addCheck, createWorld, failureOf, until, type World } from "../support/world.ts";

let world: World;
let database: Database;
let address: string;
let directory: string;

const SECRET = "hunter2-of-the-export";
const TRAINING = "console.log('trained')";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "export-"));
  world = await createWorld({
    settings: {
      MIN_BUFFER_SIZE: "0",
      TRAINER: "command",
      TRAINER_COMMAND: JSON.stringify([process.execPath, "-e", TRAINING]),
      TRAINER_COMMAND_DIRECTORY: directory,
      TRAINER_COMMAND_ENVIRONMENT: "API_TOKEN",
      API_TOKEN: SECRET,
    },
  });
  database = createDatabase(world.config, createLogger("silent"));
  const app = await world.startApp(parseConfig({ ...world.settings, ROLE: "all" }));
  address = app.address() ?? "";
  await world.sql(
    `INSERT INTO retraining_decisions (decision_date, decision, reason, buffer_size, drift_score, notes) VALUES
     ('2025-12-19 09:45:00', 'no_action', 'insufficient_buffer', 300000, 'NaN', '=1+1, "as it is"'), (NULL, NULL, NULL, NULL, NULL, NULL)`,
  );
  await world.decide();
  await addCheck(world);
  await world.decide();
  // A decision that a training blocks would be followed by another one once it has ended.
  await until(
    "the training has ended",
    async () => (await world.sql("SELECT FROM retraining_dispatches WHERE state = 'succeeded'")).length,
  );
  await world.decide();
});
afterAll(async () => {
  await database.close();
  await world.close();
  await rm(directory, { recursive: true });
});

async function exportAs(format: ExportFormat, filter = {}, models = world.config.models) {
  const redact = createRedactor(world.config.secrets);
  const { decisions, notes, pages } = await exportDecisions({ database, models, redact }, filter, format);
  let text = "";
  for await (const page of pages) text += page;
  return { decisions, notes, text };
}

type Line = Record<"content", Record<string, unknown>> &
  Record<"id" | "decisionDate" | "contentSha256" | "previousSha256" | "sha256", unknown> & {
    training: { state: string; request: object } | null;
    events: object[];
    outcomes: object[];
  };

const parseLines = <T>(text: string): T[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

const sha256 = (value: unknown): string =>
  createHash("sha256")
    .update(canonicalize(value) ?? "")
    .digest("hex");

const retrigger = (args: string[], settings: Record<string, string> = world.settings) =>
  runScript("src/cli.ts", ["export", ...args], settings);
const remotely = (...args: string[]) => retrigger([...args, "--url", address], {});

describe("the export as JSON Lines", () => {
  it("has each decision with all that was recorded, from which alone both hashes follow", async () => {
    const { text, decisions, notes } = await exportAs("jsonl");
    const lines = parseLines<Line>(text);
    expect({ decisions, notes, ids: lines.map(({ id }) => id) }).toEqual({
      decisions: 5,
      notes: [],
      ids: [1, 2, 3, 4, 5],
    });
    const ours = lines.slice(2);
    for (const { id, decisionDate, content, contentSha256, previousSha256, sha256: own } of ours) {
      expect(sha256(content)).toBe(contentSha256);
      expect(sha256({ contentSha256, decisionDate, id, previousSha256 })).toBe(own);
    }
    expect(ours.map(({ previousSha256 }) => previousSha256)).toEqual([
      null,
      ours[0]?.sha256,
      ours[1]?.sha256,
    ]);
    expect(ours[1]).toMatchObject({
      content: { decision: "trigger", evidence: { buffer: { size: 0 } }, evaluator: 1, shadow: null },
      training: { state: "succeeded", request: { command: [process.execPath, "-e", TRAINING] } },
      events: [{ runId: "drift-2" }],
      outcomes: [],
    });
  });

  it("keeps the rows of the DAG, with null for what they lack", async () => {
    const [first, second] = parseLines<Line>((await exportAs("jsonl")).text);
    expect(first).toMatchObject({
      decidedAt: expect.stringContaining("2025-12-19T09:45:00") as string,
      content: { runId: null, reason: "insufficient_buffer", bufferSize: 300_000, driftScore: null },
      sha256: null,
      training: null,
    });
    expect(second).toMatchObject({ decidedAt: null, decisionDate: null, content: { decision: null } });
  });

  it("shows by its hash that a row was changed", async () => {
    await world.sql("UPDATE retraining_decisions SET newest_alert_at = newest_alert_at - interval '1 day'");
    const tampered = parseLines<Line>((await exportAs("jsonl")).text)[3] as Line;
    await world.sql("UPDATE retraining_decisions SET newest_alert_at = newest_alert_at + interval '1 day'");
    expect(sha256(tampered.content)).not.toBe(tampered.contentSha256);
  });
});

describe("what a trainer said", () => {
  it("is redacted in every format, as the text that it is", async () => {
    const secret = 'state":"x';
    const models = world.config.models;
    const redact = createRedactor(
      new Map([
        ["API_TOKEN", secret],
        ["KEY", "conclusion"],
      ]),
    );
    const told = `a ${secret} b`;
    await world.sql("CREATE TABLE kept AS SELECT * FROM retraining_dispatches");
    await world.sql(
      "UPDATE retraining_dispatches SET url = $1, conclusion = $1, external_id = $1, error = $1 WHERE state = 'succeeded'",
      [told],
    );
    for (const format of ["csv", "jsonl", "openlineage"] as const) {
      const { pages } = await exportDecisions({ database, models, redact }, {}, format);
      let text = "";
      for await (const page of pages) text += page;
      expect(text, format).toContain("a [API_TOKEN] b");
      expect(text, format).not.toContain("x b");
      if (format === "csv") continue;
      const lines = parseLines<{ training?: object | null }>(text);
      expect(lines.length).toBeGreaterThan(3);
      const shown = lines.find(({ training }) => training);
      if (format === "jsonl")
        expect(shown?.training).toMatchObject({ state: "succeeded", conclusion: "a [API_TOKEN] b" });
    }
    await world.sql(
      "UPDATE retraining_dispatches AS d SET (url, conclusion, external_id, error) = (SELECT url, conclusion, external_id, error FROM kept WHERE id = d.id)",
    );
    await world.sql("DROP TABLE kept");
  });
});

describe("the export as CSV", () => {
  it("has a line for each decision, in the columns that its page documents, which no spreadsheet runs", async () => {
    const { text } = await exportAs("csv");
    const [header = "", dag = "", ...others] = text.split("\r\n");
    const [, page = ""] = /^## CSV\n(.*?)^## /ms.exec(await readFile("docs/trust-export.md", "utf8")) ?? [];
    const rows = [...page.matchAll(/^\| (`[^|]+)\|/gm)].map(([, names = ""]) => names);
    const documented = [...rows.join().matchAll(/`(\w+)`/g)].map(([, name]) => name);
    expect(header.split(",")).toEqual(documented);
    expect(dag).toMatch(/^1,,default,,2025-12-19T09:45:00\+00:00,no_action,insufficient_buffer,300000,/);
    expect(dag).toContain(`,"'=1+1, ""as it is""",`);
    expect(others).toHaveLength(5);
    expect(others[2]).toMatch(/^4,[\w-]{36},default,event,.*,trigger,drift_detected,0,0\.0975,.*,succeeded,/);
  });

  it("reads page by page, leaves nothing out, and stops at the last decision of its beginning", async () => {
    await world.sql(
      `INSERT INTO retraining_decisions (model, decision, decision_date)
       SELECT 'many', 'no_action', timestamp '2020-01-01' + make_interval(days => 2500 - n) FROM generate_series(1, 2500) AS n`,
    );
    const redact = createRedactor(world.config.secrets);
    const dependencies = { database, models: world.config.models, redact };
    const { decisions, pages } = await exportDecisions(dependencies, { model: "many" }, "csv");
    await world.sql("INSERT INTO retraining_decisions (model, decision) VALUES ('many', 'no_action')");
    const lengths: number[] = [];
    for await (const page of pages) lengths.push(page.split("\r\n").length - 1);
    expect({ decisions, lengths }).toEqual({ decisions: 2_500, lengths: [1, 1_000, 1_000, 500] });
    const period = { model: "many", since: "2020-01-03T00:00:00Z", until: "2020-01-06T00:00:00Z" };
    expect((await exportAs("csv", period)).decisions).toBe(3);
    await world.sql("DELETE FROM retraining_decisions WHERE model = 'many'");
  });
});

describe("the export as OpenLineage", () => {
  it("has run events that the official schema admits, with source tables, training and a note about the DAG", async () => {
    const { text, notes, decisions } = await exportAs("openlineage");
    const events = parseLines<{
      eventType: string;
      run: { runId: string };
      job: { name: string };
      inputs: { namespace: string; name: string }[];
    }>(text);
    expect(events.flatMap(createLineageJudge())).toEqual([]);
    expect(events.map(({ job, eventType }) => `${job.name} ${eventType}`)).toEqual([
      "retrigger.decide.default START",
      "retrigger.decide.default COMPLETE",
      "retrigger.decide.default START",
      "retrigger.decide.default COMPLETE",
      "retrigger.train.default START",
      "retrigger.train.default COMPLETE",
      "retrigger.decide.default START",
      "retrigger.decide.default COMPLETE",
    ]);
    const { hostname, port, pathname } = new URL(world.config.databaseUrl);
    const namespace = `postgres://${hostname}:${port || "5432"}`;
    const name = pathname.slice(1);
    expect(events[1]?.inputs).toEqual([
      { namespace, name: `${name}.public.drift_alerts` },
      { namespace, name: `${name}.public.ratings_buffer` },
    ]);
    expect(events[4]?.run.runId).toBe(events[5]?.run.runId);
    expect(new Set(events.map(({ run }) => run.runId)).size).toBe(4);
    expect(decisions).toBe(3);
    expect(notes).toEqual([expect.stringContaining("Left out: 2 decisions without a run") as string]);
    expect((await exportAs("openlineage")).text).toBe(text);
  });

  it("says which source tables it cannot name", async () => {
    const { notes, text } = await exportAs("openlineage", { cause: "event" }, new Map());
    expect(notes).toEqual(["default is not in the settings, so its decisions name no source tables"]);
    expect(text).not.toContain("public.drift_alerts");
    const settings = { ...world.settings, DRIFT_ALERTS_TABLE: "nowhere.alerts" };
    const other = await exportAs("openlineage", { cause: "event" }, parseConfig(settings).models);
    expect(other.notes).toEqual([
      "default: the table nowhere.alerts does not exist, so its decisions do not name it",
    ]);
    expect(other.text).toContain("public.ratings_buffer");
  });
});

describe("retrigger export", { timeout: 60_000 }, () => {
  it("writes the same from the database and from a service, and no secret", async () => {
    for (const format of ["csv", "jsonl", "openlineage"] as const) {
      const remote = await remotely("-f", format);
      expect(remote).toMatchObject({ code: 0, stdout: (await exportAs(format)).text });
      expect(remote.stdout).not.toContain(SECRET);
      expect(remote.stderr !== "").toBe(format === "openlineage");
      if (format === "openlineage") expect(await retrigger(["-f", format])).toEqual(remote);
    }
  });

  it("writes a file that is there once it is whole", async () => {
    const file = join(directory, "decisions.jsonl");
    const { code, stdout } = await remotely("-f", "jsonl", "--output", file, "--json", "--since", "3d");
    const text = await readFile(file, "utf8");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect({ code, ...(JSON.parse(stdout) as object) }).toEqual({
      code: 0,
      file,
      format: "jsonl",
      decisions: 3,
      bytes: Buffer.byteLength(text),
      notes: [],
    });
    expect(parseLines(text)).toHaveLength(3);
    expect(await readdir(directory)).toEqual(["decisions.jsonl"]);
    expect(await retrigger(["--output", directory])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is not a regular file") as string,
    });
  });

  it("says that a period is empty, and names the models if the one given is unknown", async () => {
    const empty = await remotely("--until", "2020-01-01");
    expect(empty).toMatchObject({ code: 0, stderr: "No decisions before 2020-01-01 00:00 UTC\n" });
    expect(empty.stdout).toMatch(/^id,runId,[\w,]+\r\n$/);
    const unknown = await remotely("--model", "defualt");
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toContain('"defualt" has no decisions and is not in the settings');
    expect(unknown.stderr).toContain("models with decisions: default");
    expect((await retrigger(["--since", "yesterday"])).stderr).toContain("Must be an age such as");
    const backwards = exportAs("csv", { since: "2026-02-01T00:00:00Z", until: "2026-01-01T00:00:00Z" });
    expect(await failureOf(backwards)).toContain("since must be before until");
  });

  it("fails if the service cannot read on, and leaves no part of a file behind", async () => {
    const before = await readdir(directory);
    await world.sql("ALTER TABLE retraining_outcomes RENAME TO retraining_outcomes_away");
    const { code, stderr } = await remotely("-f", "jsonl", "--output", join(directory, "whole.jsonl"));
    await world.sql("ALTER TABLE retraining_outcomes_away RENAME TO retraining_outcomes");
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`The response of ${address} broke off`) as string,
    });
    expect(await readdir(directory)).toEqual(before);
  });
});
