import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createRunId } from "../../queues/run-id.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import { Policy } from "../../src/core/policy.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { mayBeAfter } from "../../src/postgres/column-sql.ts";
import { createLogger } from "../../src/process/logger.ts";
import type { BufferSource, ChecksSource, Sources } from "../../src/settings/sources.ts";
import { GUIDE_SOURCES } from "../support/sources.ts";
import { addCheck, addRatings, createWorld, failureOf, type World } from "../support/world.ts";

let world: World;
let database: Database;

beforeAll(async () => {
  world = await createWorld();
  database = createDatabase(world.config, createLogger("silent"));
  await database.migrate();
});
afterAll(async () => {
  await database.close();
  await world.close();
});
afterEach(async () => {
  await world.sql("TRUNCATE drift_alerts, ratings_buffer RESTART IDENTITY");
  await world.sql("TRUNCATE retraining_decisions CASCADE");
});

type TableChecks = Extract<ChecksSource, { kind: "table" }>;
type TableBuffer = Extract<BufferSource, { kind: "table" }>;

/** The guide's tables, with changes. */
function sourcesOf(
  checks: Partial<TableChecks> = {},
  buffer: Partial<Omit<TableBuffer, "kind">> = {},
): Sources {
  return {
    checks: { ...GUIDE_SOURCES.checks, ...checks },
    buffer: { ...GUIDE_SOURCES.buffer, ...buffer },
    database: null,
  };
}

const policyOf = (when: unknown, guards: unknown = {}): Policy => Policy.parse({ when, guards });
const ALERTS = policyOf({ driftAlerts: { atLeast: 1, within: "7d" } });

function read(source: Sources, policy = ALERTS, model = "films"): Promise<Evidence> {
  return database.fetchEvidence(model, {
    policy,
    source,
    trainer: { name: "github" },
    expectDriftRunEveryMs: null,
  });
}

/** Records a decision as `retraining_decisions` keeps it; `age` is an SQL interval. Returns its id. */
async function addDecision({
  model = "films",
  age,
  decision = "no_action",
  size = 0,
  trainer = "github",
  alertIds = [],
}: {
  model?: string;
  age: string;
  decision?: string;
  size?: number;
  trainer?: string;
  alertIds?: string[];
}): Promise<number> {
  const [row] = await world.sql<{ id: number }>(
    `INSERT INTO retraining_decisions (run_id, model, decision_date, decision, reason, buffer_size, trainer, taken_at,
       alert_ids, newest_alert_at, previous_id)
     SELECT gen_random_uuid(), $1, (now() - $2::interval) AT TIME ZONE 'UTC', $3, 'x', $4, $5, now() - $2::interval, $6,
       now(), max(id) FROM retraining_decisions WHERE model = $1 RETURNING id`,
    [model, age, decision, size, trainer, alertIds],
  );
  return row?.id ?? 0;
}

/** Records a training; `ended` is the age of its end. */
async function addTraining({
  state,
  asked,
  ended = null,
  seconds = null,
  ...decision
}: Omit<Parameters<typeof addDecision>[0], "decision" | "age"> & {
  state: string;
  asked: string | null;
  ended?: string | null;
  seconds?: number | null;
  age?: string;
}): Promise<number> {
  const { age = asked ?? "1 hour", trainer = "github" } = decision;
  const id = await addDecision({ ...decision, age, trainer, decision: "trigger" });
  await world.sql(
    `INSERT INTO retraining_dispatches (decision_id, trainer, state, request, created_at, asked_at, ended_at, duration_seconds)
     VALUES ($1, $2, $3, '{}', now() - $4::interval, now() - $5::interval, now() - $6::interval, $7)`,
    [id, trainer, state, age, asked, ended, seconds],
  );
  return id;
}

const agesOf = (times: readonly string[], { takenAt }: Evidence): number[] =>
  times.map((time) => Math.round((Date.parse(takenAt) - Date.parse(time)) / 3_600_000));

describe("the guide's tables", () => {
  it("give the counts, the newest checks and the batches, and each alert to be weighed", async () => {
    await addCheck(world, { age: "2 hours" });
    await addCheck(world, { age: "1 hour", triggered: false, feature: "rating_mean" });
    await addCheck(world, { age: "8 days" });
    await addRatings(world, 3);
    await addRatings(world, 2, null);
    const evidence = await read(sourcesOf());
    expect(evidence).toMatchObject({
      window: "7d",
      hasQuietChecks: false,
      isGuide: false,
      checks: { total: 2, triggered: 1 },
      weighed: [
        {
          id: evidence.alerts.ids[0],
          feature: "rating_distribution_ks",
          score: 0.0975,
          threshold: 0.05,
          triggered: true,
          samples: null,
          answeredBy: null,
          failed: null,
        },
      ],
      alerts: { unanswered: 1 },
      buffer: { size: 5, batchCount: 2, unit: "ratings", grown: null, waiting: null, earlier: null },
    });
    expect(evidence.alerts.ids).toEqual([expect.stringMatching(/^1@\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/)]);
    expect(evidence.weighed?.[0]?.at).toBe(evidence.checks.newestTriggered[0]?.checkedAt);
    expect(evidence.buffer.batches).toEqual([
      { batch: "batch_w1", ratings: 3, earliestRating: 1_700_000_001, latestRating: 1_700_000_003 },
      { batch: null, ratings: 2, earliestRating: 1_700_000_001, latestRating: 1_700_000_002 },
    ]);
  });

  it("may be empty", async () => {
    expect(
      await read(
        sourcesOf(),
        policyOf({ all: [{ driftAlerts: 1 }, { bufferGrowth: 1 }, { waitingCost: { hourWorth: 1 } }] }),
      ),
    ).toMatchObject({
      checks: { total: 0, triggered: 0, newest: [], newestTriggered: [] },
      weighed: [],
      alerts: { ids: [], unanswered: 0, answeredBy: [], failed: [] },
      buffer: { size: 0, batchCount: 0, batches: [], grown: 0, waiting: { rows: 0, rowDays: 0 } },
      lastDecisions: [],
    });
  });

  it("are no longer read as the guide's under another name", async () => {
    await world.sql("CREATE VIEW alerts AS SELECT * FROM drift_alerts");
    expect((await read(sourcesOf({ table: "alerts" }))).isGuide).toBe(false);
    await world.sql("DROP VIEW alerts");
  });
});

it("a view that would write, with the rights of the service, is refused", async () => {
  await world.sql(`CREATE TABLE written (id INT);
    CREATE FUNCTION write_one() RETURNS INT LANGUAGE sql VOLATILE AS 'INSERT INTO written VALUES (1) RETURNING id';
    CREATE VIEW writing AS SELECT drift_alerts.* FROM drift_alerts, (SELECT write_one()) AS one`);
  await addCheck(world);
  expect(await failureOf(read(sourcesOf({ table: "writing" })))).toMatch(
    /Reading a source in \S+ would write: cannot execute INSERT in a read-only transaction. Let the view only read/,
  );
  expect(await world.sql("SELECT * FROM written")).toEqual([]);
});

describe("the checks that a policy weighs", () => {
  it("are the alerts of the window; with quiet checks also the others as far back as they are needed", async () => {
    await addCheck(world, { age: "1 day", triggered: false, score: 0.01 });
    await addCheck(world, { age: "2 days" });
    await addCheck(world, { age: "20 days" });
    await addCheck(world, { age: "30 days", triggered: false, score: 0.02 });
    await addCheck(world, { age: "300 days" });
    const evidence = await read(
      sourcesOf(),
      policyOf({ quantile: { q: 0.05, last: 2, within: "7d", reach: "60d" } }),
    );
    expect(evidence).toMatchObject({
      window: "7d",
      hasQuietChecks: true,
      checks: { total: 2, triggered: 1 },
    });
    expect(evidence.weighed?.map(({ id, triggered }) => [Number.parseInt(id, 10), triggered])).toEqual([
      [1, false],
      [2, true],
      [3, true],
      [4, false],
    ]);
    // Its scores are weighed, so that a training is for the quiet ones of the window too.
    expect(evidence.alerts.ids.map((id) => Number.parseInt(id, 10))).toEqual([1, 2]);
    expect(evidence.alerts.unanswered).toBe(1);
    expect(evidence.checks.newest).toHaveLength(2);
  });

  it("are bounded: the newest without a gap, then older alerts", async () => {
    await world.sql(
      `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
       SELECT (now() AT TIME ZONE 'UTC') - make_interval(secs => n), 'f', 1, 0.5, n % 2 = 0 FROM generate_series(1, 2100) n`,
    );
    const evidence = await read(sourcesOf(), policyOf({ consecutiveRuns: 2 }));
    const listed = evidence.weighed?.map(({ id, hasGap }) => [Number.parseInt(id, 10), hasGap]);
    expect(listed).toEqual([
      ...Array.from({ length: 1000 }, (_, index) => [index + 1, false]),
      ...Array.from({ length: 500 }, (_, index) => [1002 + 2 * index, true]),
    ]);
    expect(evidence.alerts.ids).toHaveLength(1000);
    expect(evidence.checks).toMatchObject({ total: 2100, triggered: 1050, unread: 600 });
    expect(evaluate(evidence, policyOf({ consecutiveRuns: 2 })).explanation?.notCounted).toContainEqual({
      kind: "not_read",
      count: 600,
      text: "600 checks not read: a decision reads the newest 1,000, evenly over the features",
    });
  });

  it("include the newest ones of every feature, however many another has", async () => {
    const addChecks = (feature: string, count: number, seconds: number, triggered: boolean) =>
      world.sql(
        `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
         SELECT (now() AT TIME ZONE 'UTC') - make_interval(secs => $3 * n), $1, 1, 0.5, $4 FROM generate_series(1, $2) n`,
        [feature, count, seconds, triggered],
      );
    await addChecks("chatty", 3000, 1, true);
    await addChecks("quiet", 2, 86_400, false);
    await addChecks("null_rate", 20, 7200, false);
    const evidence = await read(
      sourcesOf(),
      policyOf({ quantile: { last: 10 } }, { dataQuality: ["null_rate"] }),
    );
    const count = (feature: string) =>
      evidence.weighed?.filter((check) => check.feature === feature && !check.hasGap).length;
    expect([count("chatty"), count("quiet"), count("null_rate")]).toEqual([978, 2, 20]);
  });

  it("tell drift runs of hundreds of features apart, with an alert and without", async () => {
    // Of the 600 checks of a run, the first ones are alerts; the third run back has none.
    await world.sql(
      `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
       SELECT (now() AT TIME ZONE 'UTC') - make_interval(days => run, secs => f / 100), 'f' || f, 1, 0.5, f < 4 AND run <> 2
       FROM generate_series(0, 5) AS run, generate_series(0, 599) AS f`,
    );
    const policy = (runs: number) => policyOf({ consecutiveRuns: runs });
    const evidence = await read(sourcesOf(), policy(3));
    expect(evaluate(evidence, policy(2)).decision).toBe("trigger");
    expect(evaluate(evidence, policy(3)).reason).toBe("too_few_consecutive_runs");
    await world.sql("UPDATE drift_alerts SET alert_triggered = true WHERE feature_name = 'f9'");
    const drifted = await read(sourcesOf(), policy(6));
    expect(evaluate(drifted, policy(6)).decision).toBe("trigger");
  });

  it("leave out those that are dated more than a day ahead", async () => {
    await addCheck(world, { age: "-20 hours" });
    await addCheck(world, { age: "-2 days" });
    const evidence = await read(sourcesOf(), policyOf({ consecutiveRuns: 2 }));
    expect(evidence.weighed?.map(({ id }) => Number.parseInt(id, 10))).toEqual([1]);
    expect(evidence.checks).toMatchObject({ total: 1, triggered: 1 });
  });

  it("know the training that was for them, and the failures before it", async () => {
    for (const age of ["1 hour", "2 hours", "3 hours"]) await addCheck(world, { age });
    const [newest = "", middle = "", oldest = ""] = (await read(sourcesOf())).alerts.ids;
    const first = await addTraining({
      state: "failed",
      asked: "5 hours",
      ended: "4 hours",
      alertIds: [oldest, middle],
    });
    const second = await addTraining({
      state: "failed",
      asked: "3 hours",
      ended: "2 hours",
      alertIds: [middle],
    });
    const third = await addTraining({
      state: "succeeded",
      asked: "1 hour",
      ended: "30 minutes",
      alertIds: [newest],
    });
    await addTraining({
      state: "succeeded",
      asked: "1 hour",
      ended: "30 minutes",
      alertIds: [oldest],
      trainer: "webhook",
    });
    const evidence = await read(sourcesOf());
    expect(evidence.weighed).toMatchObject([
      { id: newest, answeredBy: third, failed: null },
      { id: middle, answeredBy: null, failed: { failures: 2 } },
      { id: oldest, answeredBy: null, failed: { failures: 1 } },
    ]);
    expect(evidence.alerts).toMatchObject({
      unanswered: 2,
      answeredBy: [{ decisionId: third, alerts: 1 }],
      failed: [
        { decisionId: second, failures: 2, alerts: 1 },
        { decisionId: first, failures: 1, alerts: 1 },
      ],
    });
  });
});

describe("a decision", () => {
  it("records every check that its policy weighs by its score, and the time of the newest", async () => {
    await addCheck(world, { age: "1 day", triggered: false });
    await addCheck(world, { age: "2 days" });
    const policy = policyOf({ quantile: { last: 2 } });
    const evidence = await read(sourcesOf(), policy);
    const verdict = evaluate(evidence, policy);
    await database.recordDecision({
      runId: createRunId(),
      model: "films",
      cause: "manual",
      decision: verdict.decision,
      notes: "",
      trainer: "github",
      evidence,
      policy,
      policyHash: "",
      verdict,
      shadow: null,
      request: null,
      settingsHash: "",
      dispatchState: "pending",
    });
    const [row] = await world.sql<{ ids: string[]; age: number }>(
      `SELECT alert_ids AS ids, round(extract(epoch FROM taken_at - newest_alert_at) / 3600)::int AS age
       FROM retraining_decisions`,
    );
    expect(row?.ids.map((id) => Number.parseInt(id, 10))).toEqual([1, 2]);
    expect(row?.age).toBe(24);
  });
});

describe("the trainings", () => {
  const TRAINED = policyOf(
    { maxAge: "60d" },
    { cooldown: "1d", budget: { atMost: 2, per: "3d" }, totalBudget: { atMost: 9, per: "3d" } },
  );

  it("are read only if the policy needs them", async () => {
    await addTraining({ state: "succeeded", asked: "5 hours", ended: "4 hours" });
    expect((await read(sourcesOf())).trainings).toEqual({
      lastRequestedAt: null,
      lastSucceeded: null,
      lastFailed: null,
      firstDecisionAt: null,
      requestedAt: [],
      requestedByAll: [],
      durations: [],
      nextRows: null,
    });
  });

  it("count from their request, unless they were refused or never sent", async () => {
    await addDecision({ age: "90 hours" });
    await addTraining({ state: "succeeded", asked: "80 hours", ended: "79 hours" });
    await addTraining({ state: "succeeded", asked: "50 hours", ended: "49 hours", size: 7 });
    await addTraining({ state: "failed", asked: "40 hours", ended: "39 hours" });
    await addTraining({ state: "cancelled", asked: "30 hours", ended: "29 hours" });
    await addTraining({ state: "rejected", asked: "20 hours" });
    await addTraining({ state: "cancelled", asked: null, age: "10 hours" });
    await addTraining({ state: "pending", asked: null, age: "2 hours" });
    await addTraining({ state: "succeeded", asked: "9 hours", ended: "8 hours", trainer: "webhook" });
    await addTraining({ state: "running", asked: "5 hours", model: "books" });
    const evidence = await read(sourcesOf(), TRAINED);
    const { trainings } = evidence;
    expect(agesOf(trainings.requestedAt, evidence)).toEqual([30, 40, 50]);
    expect(agesOf(trainings.requestedByAll, evidence)).toEqual([5, 9, 30, 40, 50]);
    expect(agesOf([trainings.lastRequestedAt ?? "", trainings.firstDecisionAt ?? ""], evidence)).toEqual([
      30, 90,
    ]);
    expect(trainings.lastSucceeded?.bufferSize).toBe(7);
    expect(agesOf([trainings.lastSucceeded?.at ?? ""], evidence)).toEqual([49]);
    expect(trainings.lastFailed).toMatchObject({ failures: 2 });
    expect(agesOf([trainings.lastFailed?.endedAt ?? ""], evidence)).toEqual([29]);
  });

  it("that have not failed leave no failure, and one that is about to be requested counts", async () => {
    await addTraining({ state: "failed", asked: "4 hours", ended: "3 hours" });
    await addTraining({ state: "pending", asked: null, age: "1 minute" });
    const evidence = await read(sourcesOf(), TRAINED);
    expect(evidence.trainings).toMatchObject({ lastFailed: null, lastSucceeded: null });
    expect(agesOf(evidence.trainings.requestedAt, evidence)).toEqual([0, 4]);
  });

  it("of the mock trainer succeed when they are decided", async () => {
    await addTraining({ state: "sent", asked: null, age: "4 hours", trainer: "mock", size: 5 });
    const evidence = await database.fetchEvidence("films", {
      policy: TRAINED,
      source: sourcesOf(),
      trainer: { name: "mock" },
      expectDriftRunEveryMs: null,
    });
    expect(evidence.trainings.lastSucceeded?.bufferSize).toBe(5);
    expect(agesOf([evidence.trainings.lastSucceeded?.at ?? ""], evidence)).toEqual([4]);
    expect(agesOf(evidence.trainings.requestedAt, evidence)).toEqual([4]);
  });

  it("show how long they took, for the time of the next one", async () => {
    await addTraining({ state: "succeeded", asked: "9 hours", ended: "8 hours", seconds: 60, size: 100 });
    await addTraining({ state: "succeeded", asked: "7 hours", ended: "6 hours", seconds: 120, size: 200 });
    await addTraining({ state: "succeeded", asked: "5 hours", ended: "4 hours" });
    await addRatings(world, 4);
    const { trainings } = await read(sourcesOf(), policyOf({ waitingCost: { hourWorth: 1 } }));
    expect(trainings).toMatchObject({
      nextRows: 4,
      durations: [
        { rows: 200, seconds: 120 },
        { rows: 100, seconds: 60 },
      ],
    });
  });
});

describe("the buffer", () => {
  const GROWTH = policyOf({ any: [{ bufferGrowth: 1 }, { waitingCost: { hourWorth: 1 } }] });
  const addRows = (count: number, age: string): Promise<unknown> =>
    world.sql(
      `INSERT INTO ratings_buffer SELECT 1, 1, 3, 1700000000, 'b', (now() - $2::interval) AT TIME ZONE 'UTC'
       FROM generate_series(1, $1::int)`,
      [count, age],
    );

  it("counts what arrived since the snapshot of the last successful training's decision", async () => {
    await addRows(3, "10 days");
    await addTraining({ state: "succeeded", asked: "5 days", ended: "2 days", size: 3 });
    await addTraining({ state: "failed", asked: "1 day", ended: "1 hour" });
    await addRows(4, "4 days");
    const evidence = await read(sourcesOf(), GROWTH);
    expect(evidence.buffer).toMatchObject({ size: 7, grown: 4, waiting: { rows: 4 } });
    expect(evidence.buffer.waiting?.rowDays).toBeCloseTo(16, 3);
    const since = await read(sourcesOf({}, { since: "lastTraining" }), GROWTH);
    expect(since.buffer).toMatchObject({ size: 4, grown: 4, waiting: { rows: 4 } });
    expect(since.buffer.batches[0]?.ratings).toBe(4);
    expect(since.trainings.nextRows).toBe(4);
  });

  it("counts everything until a training has succeeded", async () => {
    await addRows(3, "10 days");
    const { buffer } = await read(sourcesOf({}, { since: "lastTraining" }), GROWTH);
    expect(buffer).toMatchObject({ size: 3, grown: 3, waiting: { rows: 3 } });
    expect(buffer.waiting?.rowDays).toBeCloseTo(30, 3);
  });

  it.each([
    [10, 6, 4],
    [10, 12, 10],
    [0, 12, 0],
  ])("of %i rows without times of arrival, after %i, has grown by %i", async (now, before, grown) => {
    await addRatings(world, now);
    await world.sql("UPDATE ratings_buffer SET ingested_at = NULL");
    await addTraining({ state: "succeeded", asked: "5 days", ended: "2 days", size: before });
    expect((await read(sourcesOf(), GROWTH)).buffer).toMatchObject({ size: now, grown });
    const source = sourcesOf({}, { columns: { batch: null, time: null, ingestedAt: null } });
    expect((await read(source, policyOf({ bufferGrowth: 5 }))).buffer).toMatchObject({ size: now, grown });
  });

  it("has an earlier size as long as no training has succeeded since", async () => {
    await addDecision({ age: "10 days", size: 1 });
    await addDecision({ age: "7 days", size: 2 });
    await addDecision({ age: "3 days", size: 3 });
    await addDecision({ age: "1 hour", size: 4 });
    const evidence = await read(sourcesOf());
    expect(evidence.buffer.earlier?.size).toBe(2);
    expect(agesOf([evidence.buffer.earlier?.at ?? ""], evidence)).toEqual([7 * 24]);
    await addTraining({ state: "succeeded", asked: "9 days", ended: "8 days" });
    expect((await read(sourcesOf())).buffer.earlier?.size).toBe(2);
    await addTraining({ state: "succeeded", asked: "6 days", ended: "5 days" });
    expect((await read(sourcesOf())).buffer.earlier).toBeNull();
  });
});

describe("any table", () => {
  beforeAll(() => world.sql("CREATE DOMAIN local_time AS timestamp"));
  beforeEach(() => world.sql('CREATE SCHEMA "My $1 Schema"'));
  afterEach(() => world.sql('DROP SCHEMA "My $1 Schema" CASCADE'));

  const TABLE = "My $1 Schema.Drift Log";
  const SQL_NAME = '"My $1 Schema"."Drift Log"';
  const COLUMNS = {
    checkedAt: "Created At",
    feature: "metric",
    score: "value",
    threshold: "limit",
    triggered: "fired",
  };

  /**
   * Creates a drift log with one check of an hour ago and one of eight days ago. Columns are given as a type and an expression,
   * in which `at` is the time of the check.
   */
  async function createLog({
    checkedAt = ["timestamptz", "at"],
    score = ["float8", "0.5"],
    threshold = ["float8", "0.1"],
    triggered = ["boolean", "true"],
  }: Partial<
    Record<"checkedAt" | "score" | "threshold" | "triggered", readonly [string, string]>
  >): Promise<void> {
    await world.sql(
      `CREATE TABLE ${SQL_NAME} ("Created At" ${checkedAt[0]}, metric text, value ${score[0]}, "limit" ${threshold[0]},
         fired ${triggered[0]}, model text)`,
    );
    await world.sql(
      `INSERT INTO ${SQL_NAME} SELECT ${checkedAt[1]}, 'ks', ${score[1]}, ${threshold[1]}, ${triggered[1]}, 'films'
       FROM (VALUES (now() - interval '1 hour'), (now() - interval '8 days')) AS times (at)`,
    );
  }

  it.each([
    ["timestamptz", "at"],
    ["timestamp", "at AT TIME ZONE 'UTC'"],
    ["date", "(at AT TIME ZONE 'UTC')::date"],
    ["local_time", "at AT TIME ZONE 'UTC'"],
    ["text", "(at AT TIME ZONE 'UTC')::text"],
    ["text", "to_char(at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD\"T\"HH24:MI:SS\"+09:00\"')"],
    ["varchar(40)", "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"],
    ["integer", "extract(epoch FROM at)::integer"],
    ["bigint", "extract(epoch FROM at)::bigint * 1000"],
    ["numeric", "extract(epoch FROM at)"],
    ["float8", "extract(epoch FROM at) * 1000"],
  ])("may hold the time of a check as %s: %s", async (...checkedAt) => {
    await createLog({ checkedAt });
    await world.sql(`INSERT INTO ${SQL_NAME} ("Created At") VALUES (NULL)`);
    const source = sourcesOf({ table: TABLE, columns: COLUMNS, where: { model: "films" } });
    const evidence = await read(source);
    expect(evidence).toMatchObject({ isGuide: false, checks: { total: 1, triggered: 1 } });
    const ages = agesOf(evidence.weighed?.map(({ at }) => at) ?? [], evidence);
    if (checkedAt[0] === "date") expect(ages[0]).toBeLessThan(26);
    else expect(ages).toEqual([1]);
    // Decisions recognize the check: its identity does not change.
    const [id = ""] = evidence.alerts.ids;
    expect(id).toMatch(/^ks@/);
    const answer = await addTraining({
      state: "succeeded",
      asked: "1 hour",
      ended: "1 hour",
      alertIds: [id],
    });
    expect((await read(source)).weighed).toMatchObject([{ id, answeredBy: answer }]);
  });

  it.each([
    ["timestamptz", "at"],
    ["timestamp", "at AT TIME ZONE 'UTC'"],
    ["date", "(at AT TIME ZONE 'UTC')::date"],
    ["bigint", "extract(epoch FROM at)::bigint"],
    ["float8", "extract(epoch FROM at) * 1000"],
    ["numeric", "extract(epoch FROM at)"],
  ])("of which the time of a check is %s is read by an index", async (...checkedAt) => {
    await createLog({ checkedAt });
    await world.sql(
      `INSERT INTO ${SQL_NAME} SELECT ${checkedAt[1]}, 'ks', 0, 0, false, 'films'
       FROM (SELECT now() - make_interval(hours => 200 + n) AS at FROM generate_series(1, 20000) AS n) AS times`,
    );
    await world.sql(`CREATE INDEX log_time ON ${SQL_NAME} ("Created At"); ANALYZE ${SQL_NAME}`);
    const kind = kinds[checkedAt[0] as keyof typeof kinds];
    const condition = mayBeAfter({ sql: '"Created At"', kind }, "(now() - interval '7 days')");
    const plan = await world.sql(`EXPLAIN SELECT * FROM ${SQL_NAME} WHERE ${condition}`);
    expect(JSON.stringify(plan)).toContain("log_time");
    expect((await read(sourcesOf({ table: TABLE, columns: COLUMNS }))).checks.total).toBe(1);
  });
  const kinds = {
    timestamptz: "timestamptz",
    timestamp: "timestamp",
    date: "date",
    bigint: "integer",
    float8: "float",
    numeric: "numeric",
  } as const;

  it.each([
    ["boolean", "true", "false"],
    ["smallint", "1", "0"],
    ["numeric", "1.0", "0.0"],
    ["float8", "1", "'NaN'"],
    ["text", "'yes'", "' No '"],
    ["text", "'1.0'", "''"],
    ["char(5)", "'TRUE'", "NULL"],
  ])("may mark an alert as %s %s, and the absence of one as %s", async (type, marked, unmarked) => {
    await createLog({ triggered: [type, marked] });
    await world.sql(`INSERT INTO ${SQL_NAME} VALUES (now(), 'mean', 0, 0, ${unmarked}, 'films')`);
    const evidence = await read(sourcesOf({ table: TABLE, columns: COLUMNS }));
    expect(evidence.checks).toMatchObject({ total: 2, triggered: 1 });
    expect(evidence.weighed).toMatchObject([{ feature: "ks", triggered: true }]);
  });

  it.each([
    ["real", "numeric"],
    ["numeric(10, 3)", "integer"],
    ["text", "varchar(20)"],
    ["bigint", "float8"],
  ])(
    "may hold scores as %s and thresholds as %s, and alerts are then where a score is above",
    async (score, threshold) => {
      await createLog({ score: [score, `'5'::${score}`], threshold: [threshold, `'3'::${threshold}`] });
      await world.sql(
        `INSERT INTO ${SQL_NAME} ("Created At", metric, value, "limit") VALUES (now(), 'mean', NULL, '3'), (now(), 'std', '3', '3')`,
      );
      if (score === "text")
        await world.sql(`INSERT INTO ${SQL_NAME} ("Created At", value, "limit") VALUES (now(), 'n/a', '3')`);
      const source = sourcesOf({ table: TABLE, columns: { ...COLUMNS, triggered: null } });
      const evidence = await read(source);
      expect(evidence.checks.triggered).toBe(1);
      expect(evidence.weighed).toMatchObject([{ feature: "ks", score: 5, threshold: 3 }]);
    },
  );

  it.each([
    ["text", "films"],
    ["varchar(5)", "films"],
    ["char(9)", "films"],
    ["integer", 7],
    ["boolean", true],
    ["uuid", "0198d5a6-9b0f-7d04-bd1f-000000000001"],
  ])("may be read only as far as a column of type %s is %s", async (type, value) => {
    await createLog({});
    await world.sql(`ALTER TABLE ${SQL_NAME} DROP COLUMN model, ADD COLUMN model ${type}`);
    expect(
      (await read(sourcesOf({ table: TABLE, columns: COLUMNS, where: { model: value } }))).checks.total,
    ).toBe(0);
    await world.sql(`UPDATE ${SQL_NAME} SET model = '${value}'`);
    expect(
      (await read(sourcesOf({ table: TABLE, columns: COLUMNS, where: { model: value } }))).checks.total,
    ).toBe(1);
    if (value === "films")
      expect(
        (await read(sourcesOf({ table: TABLE, columns: COLUMNS, where: { model: "filmsX" } }))).checks.total,
      ).toBe(0);
  });

  it.each([
    ["bigint", "extract(epoch FROM at)::bigint"],
    ["bigint", "extract(epoch FROM at)::bigint * 1000"],
    ["numeric", "extract(epoch FROM at)"],
    ["timestamp", "at AT TIME ZONE 'UTC'"],
    ["timestamptz", "at"],
    ["text", "(at AT TIME ZONE 'UTC')::text"],
  ])("may be a buffer with times as %s: %s", async (type, time) => {
    await world.sql(`CREATE TABLE "My $1 Schema".events ("Event Time" ${type}, kind text)`);
    await world.sql(
      `INSERT INTO "My $1 Schema".events SELECT ${time}, CASE WHEN n < 4 THEN 'rating' ELSE 'view' END
       FROM (SELECT n, date_trunc('second', now()) - make_interval(days => n) AS at FROM generate_series(1, 5) AS n) AS times`,
    );
    await addTraining({ state: "succeeded", asked: "61 hours", ended: "60 hours" });
    const columns = { batch: null, time: "Event Time" };
    const source = sourcesOf(
      {},
      {
        table: "My $1 Schema.events",
        columns,
        where: { kind: "rating" },
        unit: "events",
        since: "lastTraining",
      },
    );
    const { buffer, takenAt } = await read(source, policyOf({ waitingCost: { hourWorth: 1 } }));
    expect(buffer).toMatchObject({
      size: 2,
      batchCount: 1,
      unit: "events",
      grown: 2,
      batches: [{ batch: null, ratings: 2 }],
    });
    expect(buffer.waiting?.rowDays).toBeCloseTo(3, 2);
    const now = Date.parse(takenAt) / 1000;
    const { latestRating, earliestRating } = buffer.batches[0] ?? {};
    expect((now - (latestRating ?? 0)) / 86_400).toBeCloseTo(1, 3);
    expect((now - (earliestRating ?? 0)) / 86_400).toBeCloseTo(2, 3);
  });

  it.each([
    [{ sampleFloor: 100 }, "samples", "sampleFloor"],
    [{ quantile: {} }, "score", "quantile"],
    [{ cusum: {} }, "threshold", "cusum"],
    [{ features: 2 }, "feature", "features"],
  ])("must have the columns that the policy needs: %j", async (criterion, column, key) => {
    await world.sql("CREATE TABLE bare (alert_date timestamp, alert_triggered boolean)");
    const policy = policyOf({ all: [{ driftAlerts: 1 }, criterion] });
    const failure = await failureOf(read(sourcesOf({ table: "bare" }), policy));
    await world.sql("DROP TABLE bare");
    expect(failure).toContain(`models.films.source.checks.columns.${column}: bare has no column `);
    expect(failure).toContain(`, which ${key} needs`);
  });

  it("must say when a row arrived if waiting costs", async () => {
    await world.sql("CREATE TABLE bare (batch_id text)");
    const failure = await failureOf(
      read(sourcesOf({}, { table: "bare" }), policyOf({ waitingCost: { hourWorth: 1 } })),
    );
    await world.sql("DROP TABLE bare");
    expect(failure).toContain(
      "models.films.policy.when: waitingCost: bare has no column that says when a row arrived",
    );
  });

  it("is read by its new columns after it was changed, or says what is missing", async () => {
    await createLog({ checkedAt: ["timestamp", "at AT TIME ZONE 'UTC'"] });
    const source = sourcesOf({ table: TABLE, columns: COLUMNS });
    const before = await read(source);
    const changes = [
      `ALTER COLUMN "Created At" TYPE timestamptz USING "Created At" AT TIME ZONE 'UTC'`,
      `ALTER COLUMN "Created At" TYPE bigint USING extract(epoch FROM "Created At")`,
      `ALTER COLUMN "Created At" TYPE text USING to_timestamp("Created At") AT TIME ZONE 'UTC'`,
      `ALTER COLUMN value TYPE text, ALTER COLUMN fired TYPE int USING fired::int`,
    ];
    for (const change of changes) {
      await world.sql(`ALTER TABLE ${SQL_NAME} ${change}`);
      const after = await read(source);
      expect(after.checks, change).toMatchObject({ total: 1, triggered: 1 });
      expect(agesOf([after.weighed?.[0]?.at ?? ""], after), change).toEqual([1]);
    }
    expect(before.checks.total).toBe(1);
    await world.sql(`ALTER TABLE ${SQL_NAME} DROP COLUMN value`);
    expect(await failureOf(read(source))).toMatch(
      /Missing column .*models\.films\.source\.checks\.columns\.score: My \$1 Schema\.Drift Log has no column value \(it has /,
    );
    await world.sql(`DROP TABLE ${SQL_NAME}`);
    expect(await failureOf(read(source))).toMatch(
      /Missing table .*models\.films\.source\.checks\.table: .*does not exist/,
    );
    await createLog({});
    expect((await read(source)).checks.total).toBe(1);
  });

  it.each([
    [{ checkedAt: "metric2" }, "source.checks.columns.checkedAt"],
    [
      { checkedAt: "fired" },
      "source.checks.columns.checkedAt: the column fired of My $1 Schema.Drift Log is of type boolean",
    ],
    [{ score: "fired" }, "source.checks.columns.score"],
    [{ triggered: "Created At" }, "source.checks.columns.triggered"],
    [{ triggered: null, threshold: null }, "source.checks.columns.triggered"],
    [{ id: "number" }, "source.checks.columns.id: My $1 Schema.Drift Log has no column number"],
  ])("with the columns %o does not fit", async (columns, place) => {
    await createLog({});
    const source = sourcesOf({ table: TABLE, columns: { ...COLUMNS, ...columns } });
    expect(await failureOf(read(source))).toContain(`models.films.${place}`);
  });

  it("says all at once what is wrong, also with the buffer", async () => {
    await createLog({});
    const message = await failureOf(
      read(
        sourcesOf(
          { table: TABLE, columns: COLUMNS, where: { team: "x" } },
          { columns: { batch: "b", time: null, ingestedAt: null }, since: "lastTraining" },
        ),
      ),
    );
    for (const place of ["checks.where.team", "buffer.columns.batch", "buffer.since"])
      expect(message).toContain(`models.films.source.${place}`);
  });
});
