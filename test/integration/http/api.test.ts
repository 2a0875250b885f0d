import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX } from "../../../queues/names.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { createDatabase, type Database } from "../../../src/postgres/database.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { type ApiJudge, createApiJudge } from "../../support/api-judge.ts";
import { bearer, JSON_TYPE, type RawResponse, sendRaw } from "../../support/http.ts";
import {
  addCheck,
  addRatings,
  createWorld,
  holdTable,
  until,
  withQueue,
  type World,
} from "../../support/world.ts";
import { listKeys } from "../../support/redis-keys.ts";

let world: World;
let database: Database;
let address: string;
let judge: ApiJudge | undefined;
const tokens = { emit: "", viewer: "", operator: "", admin: "" };
type Role = keyof typeof tokens;

beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  database = createDatabase(world.config, createLogger("silent"));
  for (const role of Object.keys(tokens) as Role[])
    ({ token: tokens[role] } = await database.createToken({
      name: role,
      role,
      createdBy: "a test",
      forSeconds: null,
    }));
  const app = await world.startApp(parseConfig({ ...world.settings, ROLE: "all" }));
  address = app.address() ?? "";
  judge = createApiJudge(await get("/openapi.json", "viewer"));
  await addCheck(world);
});
afterAll(async () => {
  await database.close();
  await world.close();
});

/** They need a trainer of their own, or an approval: their files test them. */
const UNTRIED = [
  "postDecisionsIdApprove",
  "postDecisionsIdReject",
  "postDecisionsIdDispatchRetry",
  "postDecisionsIdDispatchResend",
  "postDecisionsIdDispatchConfirm",
  "postModelsModelOutcomes",
  "getModelsModelOutcomes",
  "postOutcomes",
  "postOutcomesImport",
  // A stream does not end.
  "getDecisionsIdVerification",
  "getVerification",
  "getAnchors",
  "getStream",
  "getDecisionsIdStream",
];

const hostOf = () => ({ host: new URL(address).host });

async function get(path: string, role: Role, headers: Record<string, string> = {}): Promise<RawResponse> {
  const response = await sendRaw(address, "GET", `/api/v1${path}`, {
    ...hostOf(),
    ...bearer(tokens[role]),
    ...headers,
  });
  judge?.judge("GET", path, response);
  return response;
}

async function post(
  path: string,
  body: unknown,
  { role = "operator", method = "POST", ...headers }: Record<string, string> = {},
): Promise<RawResponse> {
  const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const response = await sendRaw(
    address,
    method,
    `/api/v1${path}`,
    { ...hostOf(), ...bearer(tokens[role as Role]), ...JSON_TYPE, ...headers },
    text,
  );
  judge?.judge(method, path, response);
  return response;
}

const untilDecided = (jobId: string) =>
  until("the request is decided", async () => {
    const { json } = await get(`/requests/${jobId}`, "viewer");
    const { state } = json as { state: string };
    return state === "waiting" ? null : (json as { decision: { reason: string; model: string } | null });
  });

describe("the events", () => {
  it("take a drift run to a decision, with one request and a token that may only emit", async () => {
    const sent = await post("/events", { runId: "run-1", status: "success" }, { role: "emit" });
    expect(sent).toMatchObject({
      status: 202,
      json: { outcome: "accepted", model: "default", runId: "run-1" },
    });
    const { jobId, status } = sent.json as { jobId: string; status: string };
    expect(status).toBe(`/api/v1/requests/${jobId}`);
    expect((await untilDecided(jobId)).decision).toMatchObject({
      model: "default",
      reason: "drift_detected",
    });
    const again = await post("/events", { runId: "run-1" }, { role: "emit" });
    expect(again).toMatchObject({ status: 200, json: { outcome: "duplicate", jobId: null } });
    expect((await get("/decisions", "emit")).status).toBe(403);
  });

  it("come as CloudEvents: structured, batched and binary", async () => {
    const event = (id: string) => ({
      specversion: "1.0",
      type: "drift_monitoring.completed",
      id,
      source: "/airflow/drift",
      time: "2026-11-28T06:00:00Z",
      data: { status: "success" },
    });
    const structured = { "content-type": "application/cloudevents+json" };
    expect((await post("/events", event("ce-1"), structured)).json).toMatchObject({
      outcome: "accepted",
      runId: "ce-1",
    });
    const batch = await post("/events", [event("ce-1b"), event("ce-2")], {
      "content-type": "application/cloudevents-batch+json",
    });
    expect(batch.json).toMatchObject([{ runId: "ce-1b" }, { runId: "ce-2" }]);
    const binary = {
      "ce-specversion": "1.0",
      "ce-type": "drift_monitoring.completed",
      "ce-id": "ce-3",
      "ce-source": "/airflow",
    };
    expect((await post("/events", { status: "failed" }, binary)).json).toMatchObject({
      outcome: "accepted",
      runId: "ce-3",
    });
    await until("the last event is recorded", async () => {
      const rows = await world.sql(
        "SELECT source, status FROM retraining_events WHERE event_run_id = 'ce-3'",
      );
      return rows.length > 0
        ? (expect(rows).toEqual([{ source: "/airflow", status: "failed" }]) ?? true)
        : null;
    });
    const other = await post("/events", { ...event("ce-4"), type: "something.else" }, structured);
    expect(other).toMatchObject({
      status: 400,
      json: { code: "BAD_INPUT", detail: expect.stringContaining("type") as string },
    });
  });

  it.each([
    ["no object", "[]", "event"],
    ["no run", {}, "runId is missing"],
    ["an unknown model", { runId: "x", model: "nothing" }, "nothing"],
    ["a control character", { runId: "a\0b" }, "runId"],
    ["a malformed time", { runId: "x", completedAt: "yesterday" }, "completedAt"],
    ["a faulty check", { runId: "x", checks: [{ feature: "ks", score: "high" }] }, "0.score"],
    ["no check", { runId: "x", checks: [] }, "checks"],
    [
      "a feature twice",
      { runId: "x", checks: [1, 2].map(() => ({ feature: "ks", score: 1, threshold: 1 })) },
      '"ks" occurs twice',
    ],
    ["malformed JSON", '{"runId":', "not valid JSON"],
    ["a number", "5", "must be an object"],
  ])("are refused with %s, and nothing is saved", async (_, body, expected) => {
    const counts = async () =>
      world.sql(
        "SELECT (SELECT count(*) FROM retraining_reported_checks), (SELECT count(*) FROM retrigger_outbox)",
      );
    const before = await counts();
    const { status, headers, json } = await post("/events", body);
    expect([400, 404]).toContain(status);
    expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(json).toMatchObject({ status, detail: expect.stringContaining(expected) as string });
    expect(await counts()).toEqual(before);
  });

  it("refuse a body that is too large", async () => {
    const { status, json } = await post("/events", { runId: "x", filler: "x".repeat(1_100_000) });
    expect({ status, json }).toMatchObject({ status: 413, json: { code: "BAD_REQUEST" } });
  });

  it("bring their checks with them, whatever dies in between", async () => {
    const checks = [{ feature: "ks", score: 0.4, threshold: 0.1, samples: 900 }];
    const sent = await post("/events", { runId: "with-checks", checks });
    expect(sent.json).toMatchObject({ outcome: "accepted", savedChecks: 1 });
    expect(
      await world.sql(
        "SELECT feature, score, triggered FROM retraining_reported_checks WHERE run_id = 'with-checks'",
      ),
    ).toEqual([{ feature: "ks", score: 0.4, triggered: true }]);
    await untilDecided((sent.json as { jobId: string }).jobId);
    // Checks that come later are saved too, and looked at.
    const later = await post("/events", {
      runId: "with-checks",
      checks: [...checks, { feature: "psi", score: 1, threshold: 2 }],
    });
    expect(later.json).toMatchObject({
      outcome: "duplicate",
      savedChecks: 1,
      jobId: expect.any(String) as string,
    });
    const again = await post("/events", { runId: "with-checks", checks });
    expect(again).toMatchObject({ status: 200, json: { outcome: "duplicate", savedChecks: 0, jobId: null } });
    expect(await world.sql("SELECT FROM retrigger_outbox")).toEqual([]);
  });

  it("are looked at although the run was recorded while they were saved", async () => {
    await post("/events", { runId: "raced" });
    await until(
      "it is recorded",
      async () => (await world.sql("SELECT FROM retraining_events WHERE event_run_id = 'raced'")).length,
    );
    const jobId = `event-${randomUUID()}`;
    await withQueue(world, INBOX, (inbox) =>
      inbox.add("drift_monitoring.completed", { runId: "raced" }, { jobId }),
    );
    expect((await untilDecided(jobId)).decision).not.toBeNull();
  });

  it("reach the queue after a process died between saving and sending them", async () => {
    await world.sql(
      `INSERT INTO retrigger_outbox (id, name, data) VALUES (gen_random_uuid(), 'drift_monitoring.completed', '{"runId":"orphan"}')`,
    );
    await world.startApp(parseConfig({ ...world.settings, ROLE: "web" }));
    await until(
      "the event is recorded",
      async () => (await world.sql("SELECT FROM retraining_events WHERE event_run_id = 'orphan'")).length,
    );
    expect(await world.sql("SELECT FROM retrigger_outbox")).toEqual([]);
  });
});

describe("a detector's report", () => {
  const fixture = (name: string) =>
    readFile(new URL(`../../fixtures/detectors/${name}`, import.meta.url), "utf8");

  it.each([
    ["evidently", "evidently.json"],
    ["nannyml", "nannyml.json"],
    ["alibi-detect", "alibi-detect.json"],
    ["sagemaker", "sagemaker.json"],
    ["great-expectations", "great-expectations.json"],
  ])("of %s brings its checks to a decision, once for each run", async (name, file) => {
    const path = `/events/${name}?model=default&runId=${name}-1`;
    const sent = await post(path, await fixture(file), { role: "emit" });
    expect(sent).toMatchObject({ status: 202, json: { outcome: "accepted", runId: `${name}-1` } });
    const { checks, savedChecks, jobId } = sent.json as {
      checks: number;
      savedChecks: number;
      jobId: string;
    };
    expect(checks).toBeGreaterThan(0);
    expect(savedChecks).toBe(checks);
    expect((await untilDecided(jobId)).decision).not.toBeNull();
    expect(await post(path, await fixture(file))).toMatchObject({
      status: 200,
      json: { outcome: "duplicate" },
    });
  });

  it("is refused by name where it is not understood", async () => {
    const unknown = {
      metrics: [{ metric_name: "ValueDrift(column=a,method=crystal ball,threshold=0.1)", value: 0.2 }],
      tests: [],
    };
    const refused = await post("/events/evidently", unknown);
    expect(refused).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining("crystal ball") as string },
    });
    expect((await post("/events/evidently", "{")).status).toBe(400);
    expect((await post("/events/evidently", undefined)).status).toBe(400);
    expect((await post("/events/evidently?model=nothing", await fixture("evidently.json"))).status).toBe(404);
    expect((await post("/events/crystal-ball", {})).status).toBe(404);
  });
});

describe("the buffer", () => {
  const sumOf = async (batch: string) =>
    (
      await world.sql("SELECT sum(rows)::int AS rows FROM retraining_reported_growth WHERE batch = $1", [
        batch,
      ])
    )[0]?.["rows"] as number;

  it("grows by what is added, once for each id", async () => {
    const growth = { rows: 500, batch: "b1", id: "load-1" };
    expect(await post("/models/default/buffer", growth, { role: "emit" })).toMatchObject({
      status: 201,
      json: { added: 500 },
    });
    expect(await post("/models/default/buffer", growth)).toMatchObject({ status: 200, json: { added: 0 } });
    expect(await sumOf("b1")).toBe(500);
  });

  it("grows to what a batch has altogether, however many say so at once", async () => {
    const report = (rows: number) => post("/models/default/buffer", { rows, batch: "b2", mode: "absolute" });
    const results = await Promise.all(Array.from({ length: 8 }, () => report(700)));
    expect(results.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(results.filter(({ status }) => status === 200)).toHaveLength(7);
    expect(await report(900)).toMatchObject({ json: { added: 200 } });
    expect(await sumOf("b2")).toBe(900);
    expect(await report(100)).toMatchObject({
      status: 409,
      json: { detail: expect.stringContaining("b2") as string },
    });
  });

  it.each([
    [{ rows: -1 }, "rows"],
    [{ rows: 1.5 }, "rows"],
    [{ rows: 1, mode: "absolute" }, "needs batch"],
    [{ rows: 1, at: "2999-01-01T00:00:00Z" }, "at"],
    [{ rows: 1, extra: 1 }, "extra"],
  ])("refuses %j", async (body, expected) => {
    expect(await post("/models/default/buffer", body)).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining(expected) as string },
    });
  });
});

describe("a request whose jobs are no longer kept", () => {
  it("still tells its decision", async () => {
    const { json } = await post("/models/default/decisions", {});
    const { jobId } = json as { jobId: string };
    const { decision } = await untilDecided(jobId);
    expect(decision).not.toBeNull();
    const keys = (await listKeys(world.redis, `${world.config.redisPrefix}:*`)).filter((key) =>
      key.includes((decision as unknown as { runId: string }).runId),
    );
    await world.redis.del(keys);
    expect((await get(`/requests/${jobId}`, "viewer")).json).toMatchObject({
      state: "decided",
      decisionId: expect.any(Number) as number,
      decision: null,
    });
    for (const id of ["meta", "events", "completed", "999999"])
      expect([400, 404]).toContain((await get(`/requests/${id}`, "viewer")).status);
  });
});

describe("a decision", () => {
  it("is requested and waited for, forced, or only tried out", async () => {
    await addRatings(world, 5);
    const waited = await post("/models/default/decisions", {}, { prefer: "wait=30" });
    expect(waited).toMatchObject({
      status: 200,
      json: { model: "default", decisionId: expect.any(Number) as number },
    });
    expect(waited.headers["preference-applied"]).toBe("wait=30");
    const requested = await post("/models/default/decisions", {});
    expect(requested).toMatchObject({
      status: 202,
      headers: { location: (requested.json as { status: string }).status },
    });
    const count = async () => (await world.sql("SELECT FROM retraining_decisions")).length;
    await untilDecided((requested.json as { jobId: string }).jobId);
    const before = await count();
    expect((await post("/models/default/decisions", { dryRun: true })).json).toMatchObject({
      decisionId: null,
    });
    expect(await count()).toBe(before);
    const forced = { force: true, reason: "a new label set" };
    expect((await post("/models/default/decisions", forced, { prefer: "wait=30" })).json).toMatchObject({
      forced: { by: "operator", reason: "a new label set" },
    });
    for (const body of [{ force: true }, { reason: "x" }, { dryrun: true }])
      expect((await post("/models/default/decisions", body)).status).toBe(400);
    expect((await post("/models/nothing/decisions", {})).status).toBe(404);
    expect((await post("/models/default/decisions", {}, { role: "viewer" })).status).toBe(403);
  });

  it("is listed by filters, page by page, and as CSV", async () => {
    const all = (await get("/decisions?limit=500", "viewer")).json as { decisions: { id: number }[] };
    expect(all.decisions.length).toBeGreaterThan(3);
    const ids = [];
    for (let path = "/decisions?limit=2"; path !== "";) {
      const page = (await get(path, "viewer")).json as {
        decisions: { id: number }[];
        nextCursor: string | null;
      };
      ids.push(...page.decisions.map(({ id }) => id));
      path = page.nextCursor === null ? "" : `/decisions?limit=2&cursor=${page.nextCursor}`;
    }
    expect(ids).toEqual(all.decisions.map(({ id }) => id));
    const filtered = async (query: string) =>
      (
        (await get(`/decisions?${query}`, "viewer")).json as {
          decisions: { decision: string; cause: string }[];
        }
      ).decisions;
    for (const { decision } of await filtered("decision=trigger")) expect(decision).toBe("trigger_mock");
    expect((await filtered("reason=already_acted_on")).length).toBeGreaterThan(0);
    for (const { cause } of await filtered("cause=manual")) expect(cause).toBe("manual");
    expect(await filtered("model=other")).toEqual([]);
    expect(await filtered("until=2020-01-01T00:00:00Z")).toEqual([]);
    expect((await filtered("since=2020-01-01T00:00:00Z&limit=500")).length).toBe(all.decisions.length);
    const csv = await get("/decisions?limit=1", "viewer", { accept: "text/csv" });
    expect(csv.headers["content-type"]).toContain("text/csv");
    expect(csv.text.split("\r\n")[0]).toContain("id,runId,model,cause,decidedAt,decision,reason");
    for (const query of [
      "model=%00",
      "limit=0",
      "limit=x",
      "cursor=0",
      "since=now",
      "nothing=1",
      "limit=1&limit=2",
    ]) {
      const { status, text } = await get(`/decisions?${query}`, "viewer");
      expect(status, query).toBe(400);
      expect(text).not.toContain(new URL(world.config.databaseUrl).host);
    }
  });

  it("are exported whole, as a file in each format", async () => {
    const [first] = (await world.sql("SELECT count(*)::int AS decisions FROM retraining_decisions")) as [
      object,
    ];
    for (const [format, name, type] of [
      ["csv", "decisions.csv", "text/csv; charset=utf-8"],
      ["jsonl", "decisions.jsonl", "application/jsonl"],
      ["openlineage", "decisions.openlineage.jsonl", "application/jsonl"],
    ]) {
      const { headers, text } = await get(`/decisions/export?format=${format}`, "viewer");
      expect(headers).toMatchObject({
        "content-disposition": `attachment; filename=${name}`,
        "content-type": type,
        "retrigger-export": JSON.stringify({ ...first, notes: [] }),
      });
      expect(text.endsWith("\n")).toBe(true);
    }
    const [header] = (await get("/decisions/export?format=csv&reason=none", "viewer")).text.split("\r\n");
    expect(header).toMatch(/^id,runId,model,/);
    for (const query of ["", "format=xml", "format=csv&limit=1", "format=csv&since=yesterday"])
      expect((await get(`/decisions/export?${query}`, "viewer")).status, query).toBe(400);
    expect((await get("/decisions/export?format=csv&model=nothing", "viewer")).status).toBe(404);
    expect((await get("/decisions/export?format=csv", "emit")).status).toBe(403);
  });

  it("is compared with what a shadow policy says, if there is one", async () => {
    expect((await get("/models/default/shadow?since=30d", "viewer")).json).toMatchObject({
      since: "30d",
      shadow: null,
      decisions: 0,
      agreement: null,
    });
    expect((await get("/models/default/shadow?since=soon", "viewer")).status).toBe(400);
    expect((await get("/models/nothing/shadow", "viewer")).status).toBe(404);
  });

  it("is read with its evidence, checks, report, dispatch and jobs", async () => {
    expect((await get("/decisions/1", "viewer")).json).toMatchObject({
      id: 1,
      evidence: { buffer: { unit: "ratings" } },
      events: [{ runId: "run-1" }],
      report: expect.stringContaining("MOCK RETRAINING TRIGGER") as string,
      training: { trainer: "mock" },
      jobs: { act: expect.stringContaining("/queues/queue/act/") as string },
    });
    expect((await get("/decisions/999999", "viewer")).status).toBe(404);
    expect((await get("/decisions/x", "viewer")).status).toBe(400);
    expect((await post("/decisions/1/dispatch/retry", undefined)).status).toBe(409);
    expect((await post("/decisions/1/approve", { reason: "fine" })).status).toBe(404);
  });
});

describe("a model", () => {
  it("is listed and explained, snoozed and woken", async () => {
    expect((await get("/models", "viewer")).json).toMatchObject({
      models: [{ model: "default", trainer: "mock", snooze: null }],
    });
    expect((await get("/models/default", "viewer")).json).toMatchObject({
      model: "default",
      decision: expect.any(String) as string,
    });
    expect((await get("/models/nothing", "viewer")).status).toBe(404);
    const snoozed = await post("/models/default/snooze", { for: "3d", reason: "a holiday" });
    expect(snoozed).toMatchObject({ status: 200, json: { model: "default" } });
    expect((await get("/models/default", "viewer")).json).toMatchObject({
      snooze: { by: "operator", reason: "a holiday" },
    });
    expect((await post("/models/default/snooze", undefined, { method: "DELETE" })).status).toBe(200);
    expect((await post("/models/default/snooze", undefined, { method: "DELETE" })).status).toBe(409);
    for (const body of [{ for: "3d" }, { for: "soon", reason: "x" }, { for: "3d", reason: "a\nb" }])
      expect((await post("/models/default/snooze", body)).status).toBe(400);
  });
});

describe("an Idempotency-Key", () => {
  it("makes one request of several, for the same caller and content", async () => {
    const key = { "idempotency-key": "key-1" };
    const growth = { rows: 10, batch: "b3" };
    const first = await post("/models/default/buffer", growth, key);
    const second = await post("/models/default/buffer", growth, key);
    expect(first.status).toBe(201);
    expect(second).toMatchObject({
      status: 201,
      json: first.json,
      headers: { "idempotency-replayed": "true" },
    });
    expect((await post("/models/default/buffer", { ...growth, rows: 11 }, key)).status).toBe(422);
    expect(
      (await post("/models/default/buffer", growth, { ...key, role: "emit" })).headers[
        "idempotency-replayed"
      ],
    ).toBeUndefined();
    const rows = await world.sql(
      "SELECT sum(rows)::int AS rows FROM retraining_reported_growth WHERE batch = 'b3'",
    );
    expect(rows).toEqual([{ rows: 20 }]);
    await Promise.all(
      Array.from({ length: 6 }, () =>
        post("/models/default/buffer", { rows: 1, batch: "b4" }, { "idempotency-key": "key-2" }),
      ),
    );
    expect(
      await world.sql("SELECT sum(rows)::int AS rows FROM retraining_reported_growth WHERE batch = 'b4'"),
    ).toEqual([{ rows: 1 }]);
  });

  it("covers the attributes of a CloudEvent in binary mode", async () => {
    const event = (id: string) => ({
      "ce-specversion": "1.0",
      "ce-type": "drift_monitoring.completed",
      "ce-id": id,
      "ce-source": "/s",
      "idempotency-key": "key-4",
    });
    expect((await post("/events", {}, event("binary-1"))).status).toBe(202);
    expect((await post("/events", {}, event("binary-2"))).status).toBe(422);
  });

  it("says so if its request was interrupted, rather than to do it twice", async () => {
    const key = { "idempotency-key": "key-5" };
    await post("/models/default/buffer", { rows: 1, batch: "b6" }, key);
    await world.sql(
      "UPDATE retrigger_requests SET status = NULL, started_at = now() - interval '5 minutes' WHERE key = 'key-5'",
    );
    expect(await post("/models/default/buffer", { rows: 1, batch: "b6" }, key)).toMatchObject({
      status: 409,
      json: { code: "INTERRUPTED" },
    });
  });

  it("may be used again after its request was refused", async () => {
    const key = { "idempotency-key": "key-3" };
    expect((await post("/models/nothing/buffer", { rows: 1 }, key)).status).toBe(404);
    expect((await post("/models/default/buffer", { rows: 1, batch: "b5" }, key)).status).toBe(201);
    expect(
      (await post("/models/default/buffer", { rows: 1 }, { "idempotency-key": "x".repeat(201) })).status,
    ).toBe(400);
  });
});

describe("tokens and the audit", () => {
  it("are an admin's", async () => {
    const created = await post("/tokens", { name: "ci", role: "emit", for: "1h" }, { role: "admin" });
    expect(created).toMatchObject({ status: 201, json: { token: expect.stringMatching(/^rt_/) as string } });
    const { id, token } = created.json as { id: string; token: string };
    const listed = await get("/tokens", "admin");
    const secret = token.slice(`rt_${id}_`.length);
    expect(listed.text).not.toContain(secret);
    expect((await post(`/tokens/${id}`, undefined, { method: "DELETE", role: "admin" })).status).toBe(204);
    expect((await post(`/tokens/${id}`, undefined, { method: "DELETE", role: "admin" })).status).toBe(404);
    const audit = (await get("/audit?limit=5", "admin")).json as {
      entries: { action: string; actor: string }[];
    };
    expect(audit.entries[0]).toMatchObject({ action: "DELETE /api/v1/tokens/:id", actor: "admin" });
    const dump = JSON.stringify(await world.sql("SELECT row_to_json(a)::text AS row FROM retrigger_audit a"));
    expect(dump).not.toContain(secret);
    for (const path of ["/tokens", "/audit"]) expect((await get(path, "operator")).status).toBe(403);
  });
});

describe("a stream", () => {
  /** Reads a stream until its text satisfies a condition. */
  function readStream(
    path: string,
    headers: Record<string, string>,
    isEnough: (text: string) => boolean,
  ): Promise<string> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(address);
      const sent = request(
        {
          hostname,
          port,
          path: `/api/v1${path}`,
          headers: { ...hostOf(), ...bearer(tokens.viewer), ...headers },
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => {
            text += chunk;
            if (isEnough(text)) {
              sent.destroy();
              resolve(text);
            }
          });
          response.on("error", () => {});
        },
      );
      sent.on("error", reject);
      sent.end();
    });
  }

  it("tells of a decision as it is made, and resumes where it broke", async () => {
    // A follow-up of an earlier request may come first.
    const reading = readStream("/stream", {}, (text) => /^data: .*"cause" ?: ?"manual".*\n\n/m.test(text));
    // The stream begins once its headers are there; what comes before is none of its business.
    await until("the stream is open", async () => {
      await post("/models/default/decisions", {}, { prefer: "wait=10" });
      return Promise.race([
        reading.then(() => true),
        new Promise<false>((resolve) => setTimeout(resolve, 1_500, false)),
      ]);
    });
    const text = await reading;
    const event = text.split("\n\n").find((each) => each.includes("manual")) ?? "";
    expect(event).toContain("event: decision");
    const id = /^id: (.*)$/m.exec(event)?.[1] ?? "";
    const data = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? "") as { id: number };
    expect(data).toMatchObject({ model: "default", cause: "manual" });
    await post("/models/default/decisions", {}, { prefer: "wait=10" });
    const resumed = await readStream(
      "/stream",
      { "last-event-id": id },
      (own) => own.includes(`"id":${data.id + 1}`) || own.includes(`"id" : ${data.id + 1}`),
    );
    expect(resumed).toContain("event: decision");
    for (const faulty of ["x", "1~yesterday", "99999999999~2026-01-01T00:00:00Z", "0~2026-02-30T00:00:00Z"])
      expect((await get("/stream", "viewer", { "last-event-id": faulty })).status).toBe(400);
  });

  it("gives its place back if its client goes away before it begins", async () => {
    const held = await holdTable(world, "retraining_decisions");
    const { hostname, port } = new URL(address);
    const going = Array.from({ length: 60 }, () => {
      const sent = request({
        hostname,
        port,
        path: "/api/v1/stream",
        headers: { ...hostOf(), ...bearer(tokens.viewer) },
      });
      sent.on("error", () => {});
      sent.end();
      return sent;
    });
    await held.untilSessionWaits();
    for (const sent of going) sent.destroy();
    await held.release();
    await until("a stream opens", async () =>
      (await readStream("/stream", {}, (own) => own.includes("retry"))).includes("id: "),
    );
  });

  it("of one decision begins with its state", async () => {
    const text = await readStream("/decisions/1/stream", {}, (own) => own.includes("event: training"));
    expect(text).toContain("event: decision");
    expect(text.match(/^event:/gm)).toHaveLength(2);
    expect((await get("/decisions/999999/stream", "viewer")).status).toBe(404);
  });
});

describe("a replay", () => {
  it("compares a policy with the one in force, which can be read, and records nothing", async () => {
    const { policy } = (await get("/models/default/policy", "viewer")).json as { policy: { when: unknown } };
    const count = async () => (await world.sql("SELECT FROM retraining_decisions")).length;
    const before = await count();
    const stricter = { when: [{ driftAlerts: 1 }, { bufferSize: 1_000_000_000 }] };
    const { status, json } = await post("/models/default/backtest", { since: "30d", policy: stricter });
    expect(status).toBe(200);
    const { candidate, lost } = json as { candidate: { firings: unknown[] }; lost: { checks: string[] }[] };
    expect(candidate.firings).toEqual([]);
    for (const { checks } of lost) expect(checks).toContain("bufferSize");
    const { json: tuning } = await post("/models/default/tune", { since: "30d", every: "1d" });
    expect(
      (tuning as { trials: { changes: unknown[] }[] }).trials.some(({ changes }) => changes.length === 0),
    ).toBe(true);
    expect(await count()).toBe(before);
    expect(policy.when).toBeDefined();
  });

  it.each([
    [{ policy: { when: [{ driftAlrts: 1 }] } }, 400, "did you mean driftAlerts"],
    [{ since: "soon" }, 400, "since"],
    [{ atEvents: true, every: "1d" }, 400, "excludes atEvents"],
  ])("refuses %j", async (body, status, detail) => {
    const refused = await post("/models/default/backtest", body);
    expect(refused.status).toBe(status);
    expect((refused.json as { detail: string }).detail).toContain(detail);
  });

  it("is for operators", async () => {
    expect((await post("/models/default/backtest", {}, { role: "viewer" })).status).toBe(403);
  });
});

describe("the page of the API", () => {
  it("and all that it loads come from here", async () => {
    const page = await sendRaw(address, "GET", "/api/v1/docs", { ...hostOf(), ...bearer(tokens.viewer) });
    expect(page.status).toBe(200);
    for (const [, path = ""] of page.text.matchAll(/(?:src|href)="([^"]+)"/g))
      expect(
        (await sendRaw(address, "GET", path, { ...hostOf(), ...bearer(tokens.viewer) })).status,
        path,
      ).toBe(200);
  });
});

describe("parity", () => {
  it("compares the rows of the DAG, and says so if there are none or the period is malformed", async () => {
    const path = "/models/default/parity";
    expect((await get(`${path}?since=soon`, "viewer")).json).toMatchObject({ code: "BAD_INPUT" });
    expect((await get(path, "viewer")).json).toMatchObject({ status: 409, code: "NO_DATA" });
    await world.sql("INSERT INTO retraining_decisions (decision, buffer_size) VALUES ('no_action', 1)");
    expect((await get(path, "viewer")).json).toMatchObject({ dagRows: 1, pairs: 1 });
  });
});

describe("the document", () => {
  it("describes every operation and what it responded with", () => {
    expect(judge?.faults).toEqual([]);
    expect(judge?.unseen).toEqual(UNTRIED);
  });
});

it("leaves no job failed", () =>
  withQueue(world, INBOX, async (inbox) => expect(await inbox.getFailedCount()).toBe(0)));
