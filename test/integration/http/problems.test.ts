import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type App, buildApp } from "../../../src/app.ts";
import { JSON_TYPE, sendRaw } from "../../support/http.ts";
import { createPolicyWorld, type PolicyWorld } from "../../support/policies.ts";

const onAlert = { policy: { when: { driftAlerts: 1 }, guards: {} } };
const MODELS = {
  films: onAlert,
  odd: { ...onAlert, source: { checks: { table: "odd_checks" }, buffer: { table: "monitoring.arrivals" } } },
};

let world: PolicyWorld;
let app: App;
let address: string;
const lines: string[] = [];

beforeAll(async () => {
  world = await createPolicyWorld(MODELS);
  app = buildApp(
    { ...world.config, role: "web" },
    pino({ level: "warn" }, { write: (line: string) => lines.push(line) }),
  );
  await app.start();
  address = app.address() ?? "";
  await world.sql(
    `CREATE VIEW odd_checks AS SELECT id, created_at AS alert_date, metric AS feature_name, value AS drift_score,
       limit_value AS threshold, fired AS alert_triggered, 1 / (n - n) > 0 AS notes FROM monitoring.drift_log`,
  );
});
afterAll(async () => {
  await app.stop();
  await world.close();
});

const own = () => ({ host: new URL(address).host, origin: address });
const api = (method: string, path: string, body?: object) =>
  sendRaw(address, method, `/api/v1${path}`, { ...own(), ...JSON_TYPE }, body && JSON.stringify(body));
const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const FORM = { "content-type": "application/x-www-form-urlencoded" };
const submit = (path: string, fields: string) =>
  sendRaw(address, "POST", path, { ...own(), ...HTML, ...FORM }, fields);

/** Runs `use` while a table is missing. */
async function without<T>(table: string, use: () => Promise<T>): Promise<T> {
  const name = table.split(".").at(-1) ?? "";
  await world.sql(`ALTER TABLE ${table} RENAME TO elsewhere`);
  try {
    return await use();
  } finally {
    await world.sql(`ALTER TABLE ${table.replace(name, "elsewhere")} RENAME TO ${name}`);
  }
}

/** What says how the database is built, and where it is. */
const INNARDS = /retraining_|relation|SELECT|localhost|127\.0\.0\.1|5432|test_/;

describe("a fault of our own tables", () => {
  it("is logged, and the caller is not told what it is", async () => {
    lines.length = 0;
    const { status, json, text } = await without("retraining_snoozes", () => api("GET", "/models"));
    expect(status).toBe(500);
    expect(json).toMatchObject({ status: 500, code: "INTERNAL" });
    expect(text).not.toMatch(INNARDS);
    expect(lines.join()).toContain("retraining_snoozes");
    expect((await api("GET", "/models")).status).toBe(200);
  });

  it("is no fault of the source that is read with the same statement", async () => {
    const { json, text } = await without("retraining_snoozes", () => api("GET", "/models/films"));
    expect(json).toMatchObject({ status: 500, code: "INTERNAL" });
    expect(text).not.toMatch(INNARDS);
  });
});

describe("a fault of a source", () => {
  const READINGS = [
    ["its state is read", (model: string) => api("GET", `/models/${model}`)],
    [
      "a decision is tried out",
      (model: string) => api("POST", `/models/${model}/decisions`, { dryRun: true }),
    ],
  ] as const;

  it.each(READINGS)("is a conflict that names the missing table when %s", async (_, read) => {
    const { status, json } = await without("monitoring.drift_log", () => read("films"));
    expect(status).toBe(409);
    expect(json).toMatchObject({
      code: "MISSING_TABLE",
      detail: expect.stringContaining("models.films.source.checks.table") as string,
    });
    expect((await read("films")).status).toBe(200);
  });

  it.each(READINGS)("is a conflict that says what its rows do when %s", async (_, read) => {
    await world.sql(
      "INSERT INTO monitoring.drift_log (model, metric, value, limit_value, fired, n, created_at) VALUES ('odd', 'ks', 1, 0, true, 1, now())",
    );
    const { status, json } = await read("odd");
    expect(status).toBe(409);
    expect(json).toMatchObject({
      code: "SOURCE_DATA",
      detail: expect.stringContaining("division by zero") as string,
    });
  });
});

describe("a form that fails", () => {
  const UNSURE = "It may have been done all the same. Look before you send the form again.";
  const UNCHANGED = "Nothing was changed. Go back, and send the form again later.";

  it("after its change began may have been carried out, and says so", async () => {
    const { status, text } = await without("retraining_snoozes", () =>
      submit("/models/films/snooze", "for=1d&reason=x"),
    );
    expect(status).toBe(500);
    expect(text).toContain(UNSURE);
    expect(text).not.toContain(UNCHANGED);
    expect(text).not.toMatch(INNARDS);
  });

  it("before its change began has changed nothing, and says so", async () => {
    const { status, text } = await without("retrigger_audit", () =>
      submit("/models/films/snooze", "for=1d&reason=x"),
    );
    expect(status).toBe(503);
    expect(text).toContain(UNCHANGED);
    expect(text).not.toContain(UNSURE);
  });

  it("because of what was filled in only says what is wrong, as a page that fails does", async () => {
    const refused = await submit("/models/films/snooze", "for=never&reason=x");
    const page = await without("retraining_snoozes", () =>
      sendRaw(address, "GET", "/", { ...own(), ...HTML }),
    );
    expect([refused.status, page.status]).toEqual([400, 500]);
    for (const { text } of [refused, page]) {
      expect(text).not.toContain(UNSURE);
      expect(text).not.toContain(UNCHANGED);
    }
  });
});
