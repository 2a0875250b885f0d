import { createHmac, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../../src/config/config.ts";
import { createDatabase, type Database } from "../../../src/postgres/database.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { importOutcomes } from "../../../src/use-cases/import-outcomes.ts";
import { createApiJudge } from "../../support/api-judge.ts";
import { bearer, JSON_TYPE, sendRaw } from "../../support/http.ts";
import { runScript } from "../../support/process.ts";
import { createWorld, until, type World } from "../../support/world.ts";

const SECRET = "the secret of a webhook";
const directory = mkdtempSync(join(tmpdir(), "outcomes-"));
const settings = join(directory, "retrigger.yaml");
writeFileSync(
  settings,
  `models:
  search: { outcomes: { view: search_outcomes, mlflow: search-ranker } }
  fraud: {}
  prices: { outcomes: { view: no_such_view } }`,
);

let world: World;
let database: Database;
let address: string;
const tokens = { emit: "", viewer: "", operator: "" };

beforeAll(async () => {
  world = await createWorld({ settings: { RETRIGGER_CONFIG: settings, MLFLOW_WEBHOOK_SECRET: SECRET } });
  database = createDatabase(world.config, createLogger("silent"));
  for (const role of ["emit", "viewer", "operator"] as const)
    ({ token: tokens[role] } = await database.createToken({
      name: role,
      role,
      createdBy: "a test",
      forSeconds: null,
    }));
  const app = await world.startApp(parseConfig({ ...world.settings, ROLE: "web" }));
  address = app.address() ?? "";
});
afterAll(async () => {
  await database.close();
  await world.close();
  rmSync(directory, { recursive: true });
});

/** Records a decision with a training in a state; without one, no action. */
async function addTraining(
  model: string,
  state: string | null,
  { feature = "click_psi", trainer = "command", ended = "1 hour" } = {},
): Promise<{ id: number; runId: string }> {
  const runId = randomUUID();
  const evidence = { weighed: [{ triggered: true, answeredBy: null, feature }] };
  const [row] = await world.sql<{ id: number }>(
    `INSERT INTO retraining_decisions (run_id, model, cause, decision, reason, trainer, evidence, taken_at, previous_id)
     VALUES ($1, $2, 'event', $3, $4, $5, $6, now(), (SELECT max(id) FROM retraining_decisions WHERE model = $2))
     RETURNING id`,
    [runId, model, state ? "trigger" : "no_action", state ? "drift_detected" : "cooldown", trainer, evidence],
  );
  const { id } = row ?? { id: 0 };
  if (state !== null)
    await world.sql(
      `INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, asked_at, ended_at)
       VALUES ($1, $2, $3, $4::text, '{}', now() - interval '2 hours',
         CASE WHEN $4 = 'succeeded' THEN now() - $5::interval END)`,
      [id, model, trainer, state, ended],
    );
  return { id, runId };
}

const clear = () =>
  world.sql(`TRUNCATE retraining_outcomes, retraining_model_versions, retraining_dispatches CASCADE`);

const send = (method: string, path: string, role: keyof typeof tokens, body?: object) =>
  sendRaw(
    address,
    method,
    `/api/v1${path}`,
    { host: new URL(address).host, ...bearer(tokens[role]), ...JSON_TYPE },
    body && JSON.stringify(body),
  );
const report = (path: string, body: object) => send("POST", path, "emit", body);
const retrigger = (...args: string[]) =>
  runScript("src/cli.ts", args, { RETRIGGER_URL: address, RETRIGGER_TOKEN: tokens.operator });

describe("an outcome", () => {
  it("is reported by a workflow that knows its run, once, and shown with its decision and its cause", async () => {
    await clear();
    const judge = createApiJudge(await send("GET", "/openapi.json", "viewer"));
    const { id, runId } = await addTraining("search", "running");
    const given = { runId, metric: "rmse", before: 0.91, after: 0.93 };
    const first = await report("/outcomes", given);
    expect(first).toMatchObject({
      status: 201,
      json: { decisionId: id, model: "search", metric: "rmse", recorded: true, brought: "worse" },
    });
    expect((await report("/outcomes", given)).json).toMatchObject({ recorded: false });
    // A later report of the same metric replaces the first.
    const named = { decisionId: id, metric: "rmse", before: 0.91, after: 0.91 };
    const second = await report("/models/search/outcomes", named);
    expect(second.json).toMatchObject({ recorded: true, brought: "nothing" });
    const listed = await send("GET", "/models/search/outcomes", "viewer");
    expect(listed.json).toMatchObject({
      causes: [{ cause: "drift in click_psi", trainings: 1, nothing: 1 }],
      trainings: [
        { decisionId: id, judged: "nothing", outcomes: [{ after: 0.91, by: "emit", source: "api" }] },
      ],
    });
    const decision = await send("GET", `/decisions/${id}`, "viewer");
    expect(decision.json).toMatchObject({ brought: "nothing", outcomes: [{ metric: "rmse" }] });
    const later = await database.listOutcomes("search", new Date(Date.now() + 60_000).toISOString());
    expect(later).toEqual([]);
    judge.judge("POST", "/outcomes", first);
    judge.judge("POST", "/models/search/outcomes", second);
    judge.judge("GET", "/models/search/outcomes", listed);
    judge.judge("GET", `/decisions/${id}`, decision);
    expect(judge.faults).toEqual([]);
    for (const path of [`/decisions/${id}`, "/trainings", "/models/search"]) {
      const headers = { host: new URL(address).host, ...bearer(tokens.viewer) };
      expect((await sendRaw(address, "GET", path, headers)).text, path).toMatch(/brought nothing/);
    }
  });

  it("is refused for another model, for no training, and where it is not clear which training is meant", async () => {
    await clear();
    const idle = await addTraining("fraud", null);
    const refused = await addTraining("fraud", "rejected");
    const mock = await addTraining("fraud", "sent", { trainer: "mock" });
    const refusal = async (path: string, body: object) => {
      const { status, json } = await report(path, { promoted: true, ...body });
      return `${status} ${(json as { detail: string }).detail}`;
    };
    const path = "/models/fraud/outcomes";
    expect(await refusal(path, { decisionId: idle.id })).toMatch(/^409 .*requested no training/);
    expect(await refusal(path, { runId: refused.runId })).toMatch(
      /^409 .*never began: its request is rejected/,
    );
    expect(await refusal("/models/search/outcomes", { decisionId: mock.id })).toMatch(
      /is about fraud, not search/,
    );
    expect(await refusal(path, { decisionId: 999_999 })).toMatch(/^404 There is no decision 999999/);
    expect(await refusal(path, {})).toMatch(/^409 No training of fraud has ended/);
    expect(await refusal("/models/frod/outcomes", {})).toMatch(/^404 model: "frod" is not in the settings/);
    expect(await refusal("/outcomes", {})).toMatch(/^400 decisionId or runId is missing/);
    expect(await refusal(path, { decisionId: mock.id, metric: "auc", after: "0.9" })).toMatch(
      /^400 .*after is "0.9": must be a finite number/,
    );
    expect((await report(path, { decisionId: mock.id, promoted: true })).status).toBe(201);
    const done = await addTraining("fraud", "succeeded");
    expect((await report(path, { promoted: true })).json).toMatchObject({ decisionId: done.id });
    const open = await addTraining("fraud", "running");
    expect(await refusal(path, {})).toContain(`under way (decision ${open.id})`);
    await world.sql("UPDATE retraining_dispatches SET state = 'failed' WHERE decision_id = $1", [open.id]);
    expect(await refusal(path, {})).toContain(`(decision ${open.id}) is failed`);
    expect((await send("POST", path, "viewer", { promoted: true })).status).toBe(403);
  });

  it("is reported and listed at the command line", async () => {
    await clear();
    const { id } = await addTraining("search", "succeeded");
    const figures = ["--metric", "lift", "--before", "-1.5", "--after", "-1.25"];
    expect(await retrigger("outcome", `${id}`, ...figures)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("direction is missing") as string,
    });
    const reported = await retrigger(
      "outcome",
      "-m",
      "search",
      ...figures,
      "--higher-is-better",
      "--by",
      "nina",
    );
    expect(reported.stdout).toContain(`lift of decision ${id} (search); its training: improved the model`);
    const { stdout } = await retrigger("outcome");
    expect(stdout).toContain("1 of 1 training for drift in click_psi improved the model");
    expect(stdout).toContain("lift -1.5 → -1.25 (higher is better)");
    expect(stdout).toContain("fraud: no training has succeeded yet");
    const local = await runScript(
      "src/cli.ts",
      ["outcome", `${id}`, "--not-promoted", "--json"],
      world.settings,
    );
    expect(JSON.parse(local.stdout)).toMatchObject({
      decisionId: id,
      metric: "promotion",
      brought: "nothing",
    });
    const [audit] = await world.sql("SELECT result FROM retrigger_audit WHERE target = $1", [
      `decision ${id}`,
    ]);
    expect(audit).toEqual({ result: "done" });
  });
});

describe("the metrics of a training", () => {
  it("are at most 50, by a report, a view and the registry, and each may still be corrected", async () => {
    await clear();
    const { id } = await addTraining("search", "succeeded");
    const another = await addTraining("search", "succeeded");
    const toOutcome = (metric: string, decisionId = id) =>
      ({
        model: "search",
        decisionId,
        metric,
        before: 1,
        after: 2,
        isHigherBetter: true,
        promoted: null,
        source: "view",
        by: "a view",
      }) as const;
    const many = Array.from({ length: 60 }, (_, index) => toOutcome(`m${String(index).padStart(2, "0")}`));
    const { saved, refused } = await database.saveOutcomes([...many, toOutcome("auc", another.id)]);
    expect([saved, refused.length]).toEqual([51, 10]);
    const over = await report("/outcomes", { decisionId: id, metric: "auc", before: 0.8, after: 0.9 });
    expect(over).toMatchObject({
      status: 409,
      json: { detail: expect.stringContaining("at most 50 metrics") as string },
    });
    const known = { decisionId: id, metric: "m00", before: 1, after: 3, direction: "higher" };
    expect((await report("/outcomes", known)).json).toMatchObject({ recorded: true });
    expect(
      await world.sql("SELECT count(*)::int AS n FROM retraining_outcomes WHERE decision_id = $1", [id]),
    ).toEqual([{ n: 50 }]);
  });
});

describe("a view of outcomes", () => {
  it("is imported by the service, and a faulty row or view stops nothing else", async () => {
    await clear();
    const good = await addTraining("search", "succeeded");
    const twice = await addTraining("search", "succeeded");
    const other = await addTraining("fraud", "succeeded");
    await world.sql(
      `CREATE TABLE outcome_log (run_id UUID, metric TEXT, before NUMERIC, after FLOAT, promoted BOOLEAN)`,
    );
    await world.sql("CREATE VIEW search_outcomes AS SELECT * FROM outcome_log");
    for (const [runId, after] of [
      [good.runId, 0.9],
      [twice.runId, 0.9],
      [twice.runId, 0.7],
      [other.runId, 0.9],
      [randomUUID(), 0.9],
      [good.runId, "NaN"],
    ])
      await world.sql("INSERT INTO outcome_log VALUES ($1, 'auc', 0.8, $2, NULL)", [runId, after]);
    await world.startApp();
    await until("the reconciler has read the view", async () =>
      (await database.listOutcomes("search")).some(({ judged }) => judged === "improved"),
    );
    const results = await importOutcomes(database, world.config.models);
    expect(results).toEqual([
      {
        view: "search_outcomes",
        rows: 6,
        saved: 0,
        faults: [
          expect.stringContaining('after is "NaN"'),
          expect.stringContaining(`Decision ${other.id} is about fraud`),
          expect.stringContaining("There is no run"),
          expect.stringContaining(`Decision ${twice.id} has auc in several rows that differ`),
        ],
      },
      {
        view: "no_such_view",
        rows: 0,
        saved: 0,
        faults: [
          expect.stringContaining("models.prices.outcomes.view: the view no_such_view does not exist"),
        ],
      },
    ]);
    // A person knows better than the view, which is read again and again.
    await report("/outcomes", { decisionId: good.id, metric: "auc", before: 0.8, after: 0.7 });
    await importOutcomes(database, world.config.models);
    expect(
      (await database.listOutcomes("search")).find(({ decisionId }) => decisionId === good.id),
    ).toMatchObject({
      judged: "worse",
      outcomes: [{ source: "api", after: 0.7 }],
    });
    await world.sql(
      `CREATE FUNCTION write_on_reading() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO outcome_log (metric) VALUES ('written'); RETURN 'auc'; END $$`,
    );
    await world.sql("DROP VIEW search_outcomes");
    await world.sql(
      "CREATE VIEW search_outcomes AS SELECT run_id, write_on_reading() AS metric, before, after FROM outcome_log",
    );
    expect((await importOutcomes(database, world.config.models))[0]?.faults).toEqual([
      expect.stringContaining("read-only transaction"),
    ]);
    expect(await world.sql("SELECT FROM outcome_log WHERE metric = 'written'")).toEqual([]);
    await world.sql("DROP VIEW search_outcomes");
    await world.sql("CREATE VIEW search_outcomes AS SELECT metric, before FROM outcome_log");
    const imported = await retrigger("outcome", "--import", "--model", "search");
    expect(imported).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("has no column decision_id (or run_id), after") as string,
    });
  });
});

describe("MLflow's webhook", () => {
  let deliveries = 0;
  async function deliver(
    event: string,
    data: object,
    changes: { secret?: string; id?: string; timestamp?: number } = {},
  ) {
    deliveries += 1;
    const {
      secret = SECRET,
      id = `delivery-${deliveries}`,
      timestamp = Math.floor(Date.now() / 1000),
    } = changes;
    const [entity, action] = event.split(".");
    const body = JSON.stringify({ entity, action, timestamp: "2026-11-29T06:00:00.000000+00:00", data });
    const digest = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64");
    const { status, json } = await sendRaw(
      address,
      "POST",
      "/api/v1/mlflow/webhook",
      {
        ...JSON_TYPE,
        "x-mlflow-delivery-id": id,
        "x-mlflow-timestamp": String(timestamp),
        "x-mlflow-signature": `v1,${digest}`,
      },
      body,
    );
    return { status, json: json as Record<string, unknown> };
  }
  const version = (number: string) => ({ name: "search-ranker", version: number });
  const judged = async (id: number) =>
    (await database.listOutcomes("search")).find(({ decisionId }) => decisionId === id)?.judged ?? null;

  it("tells by a tag which training made a version, in whatever order its events come", async () => {
    await clear();
    const { id, runId } = await addTraining("search", "succeeded");
    await addTraining("search", "succeeded");
    const alias = await deliver("model_version_alias.created", { ...version("3"), alias: "champion" });
    expect(alias).toMatchObject({
      status: 202,
      json: { ignored: expect.stringContaining("names no training. Set its tag retrigger.run_id") as string },
    });
    const tag = { ...version("3"), key: "retrigger.run_id", value: runId };
    expect((await deliver("model_version_tag.set", tag)).json).toEqual({
      model: "search",
      decisionId: id,
      assumed: false,
      recorded: 1,
      faults: [],
    });
    expect(await judged(id)).toBe("improved");
    const before = { ...version("3"), key: "retrigger.metric.rmse.before", value: "0.91" };
    const after = { ...version("3"), key: "retrigger.metric.rmse.after", value: "0.95" };
    await Promise.all([deliver("model_version_tag.set", before), deliver("model_version_tag.set", after)]);
    expect(await judged(id)).toBe("worse");
    const odd = { ...version("3"), key: "retrigger.metric.lift.after", value: "2" };
    expect((await deliver("model_version_tag.set", odd)).json["faults"]).toEqual([
      expect.stringContaining("lift: direction is missing"),
    ]);
  });

  it("assumes the only training that can have made a new version, until a tag says otherwise", async () => {
    await clear();
    const first = await addTraining("search", "succeeded");
    const created = { ...version("4"), source: "models:/123", run_id: "abcd", tags: {}, description: null };
    expect((await deliver("model_version.created", created)).json).toMatchObject({
      decisionId: first.id,
      assumed: true,
    });
    await deliver("model_version_alias.created", { ...version("4"), alias: "production" });
    expect(await judged(first.id)).toBe("improved");
    const second = await addTraining("search", "running");
    await deliver("model_version_tag.set", {
      ...version("4"),
      key: "retrigger.decision_id",
      value: String(second.id),
    });
    expect([await judged(first.id), await judged(second.id)]).toEqual(["unknown", "improved"]);
    await addTraining("search", "succeeded");
    const unclear = await deliver("model_version.created", { ...created, version: "5" });
    expect(unclear.json).toEqual({
      ignored: expect.stringContaining("several trainings can have made it") as string,
    });
    await clear();
    await addTraining("search", "succeeded", { ended: "2 days" });
    expect((await deliver("model_version.created", { ...created, version: "6" })).json).toEqual({
      ignored: expect.stringContaining("no training under way or of the last day") as string,
    });
  });

  it("ignores what is about no model or training of ours, and says why", async () => {
    await clear();
    const other = await addTraining("fraud", "succeeded");
    const alias = { name: "example_model", version: "1", alias: "champion" };
    expect((await deliver("model_version_alias.created", alias)).json["ignored"]).toContain(
      "No model is registered as example_model",
    );
    expect(
      (await deliver("model_version_alias.created", { ...alias, name: "search" })).json["ignored"],
    ).toContain("No model is registered as search");
    const foreign = { ...version("1"), key: "retrigger.run_id", value: other.runId };
    expect((await deliver("model_version_tag.set", foreign)).json["ignored"]).toContain(
      "is about fraud, not search",
    );
    expect((await deliver("model_version_tag.set", { ...foreign, value: "7" })).json["ignored"]).toContain(
      'runId is "7": must be the UUID of a run',
    );
    expect((await deliver("registered_model.created", { name: "fraud" })).json["ignored"]).toContain(
      "says nothing",
    );
    expect((await deliver("model_version.created", { name: "fraud" })).status).toBe(400);
    expect(await world.sql("SELECT FROM retraining_outcomes")).toEqual([]);
  });

  it("is taken only if MLflow signed it lately, and once", async () => {
    await clear();
    const { id, runId } = await addTraining("fraud", "succeeded");
    const data = { name: "fraud", version: "1", tags: { "retrigger.run_id": runId } };
    expect((await deliver("model_version.created", data, { secret: "another secret" })).status).toBe(401);
    const old = Math.floor(Date.now() / 1000) - 400;
    expect((await deliver("model_version.created", data, { timestamp: old })).status).toBe(401);
    expect((await deliver("model_version.created", data, { id: "once" })).json).toMatchObject({
      decisionId: id,
    });
    expect((await deliver("model_version.created", data, { id: "once" })).json["ignored"]).toContain(
      "taken before",
    );
    const without = parseConfig({ ...world.settings, ROLE: "web", MLFLOW_WEBHOOK_SECRET: "" });
    const bare = (await world.startApp(without)).address() ?? "";
    expect((await sendRaw(bare, "POST", "/api/v1/mlflow/webhook", JSON_TYPE, "{}")).status).toBe(404);
  });
});
