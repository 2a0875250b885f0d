import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS, STAGES } from "../../../queues/names.ts";
import { decisionPage } from "../../../src/http/pages/decision/decision.tsx";
import { createDatabase } from "../../../src/postgres/database.ts";
import { isSettledWithin } from "../../../src/process/lifecycle.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { sendRaw } from "../../support/http.ts";
import { addCheckOf, createPolicyWorld, listDecisions, type PolicyWorld } from "../../support/policies.ts";
import { until } from "../../support/world.ts";

const onAlert = { policy: { when: { driftAlerts: 1 }, guards: {} } };
const PASSWORD = "s3cr3t-of-the-trainer";
const DSN = `postgres://trainer:${PASSWORD}@db.example/train`;
const MODELS = {
  many: onAlert,
  csv: onAlert,
  program: { ...onAlert, trainer: { command: { command: ["/bin/sh", "-c", "exit 4"] } } },
  // Never decided about: its request would be recorded.
  secretive: {
    ...onAlert,
    trainer: { command: { command: ["/bin/sh", "-c", `exit # ${DSN}`], environment: ["DSN"] } },
  },
};
const PUBLIC_URL = "https://retrigger.example";

let world: PolicyWorld;
let address: string;
beforeAll(async () => {
  world = await createPolicyWorld(MODELS, { PUBLIC_URL, DSN });
  address = (await world.startApp({ role: "all" })).address() ?? "";
});
afterAll(() => world.close());

const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

function get(path: string, headers: Record<string, string> = HTML) {
  return sendRaw(address, "GET", path, { host: new URL(address).host, ...headers });
}

const idsOn = (html: string): number[] =>
  [...html.matchAll(/<th scope="row"><a href="\/decisions\/(\d+)"/g)].map(([, id]) => Number(id));

describe("the pages", () => {
  it("list decisions page by page, each once, and by every filter", async () => {
    await world.decide({ model: "many" });
    await world.sql(
      `INSERT INTO retraining_decisions (model, decision, reason, cause, decision_date, run_id, reason_codes, previous_id, taken_at)
       SELECT 'many', 'no_action', 'cooldown', CASE WHEN n % 50 = 0 THEN 'manual' ELSE 'event' END,
         (now() AT TIME ZONE 'UTC') - make_interval(days => 200 - n), gen_random_uuid(),
         CASE WHEN n % 40 = 0 THEN ARRAY['budget_spent', 'cooldown'] ELSE ARRAY['cooldown'] END, 100000 + n, now()
       FROM generate_series(1, 120) AS n`,
    );
    const all: number[] = [];
    for (let path: string | undefined = "/decisions?model=many"; path !== undefined;) {
      const { text } = await get(path);
      all.push(...idsOn(text));
      path = /href="([^"]*cursor=[^"]*)">Older/.exec(text)?.[1]?.replaceAll("&amp;", "&");
    }
    expect(all).toHaveLength(121);
    expect(all).toEqual([...new Set(all)].toSorted((a, b) => b - a));

    const count = async (query: string): Promise<number> =>
      (await get(`/decisions.csv?${query}`)).text.trim().split("\r\n").length - 1;
    expect(await count("model=many&reason=budget_spent")).toBe(3);
    expect(await count("model=many&cause=manual")).toBe(2);
    expect(await count("model=many&decision=trigger")).toBe(0);
    const day = (before: number): string => new Date(Date.now() - before * 86_400_000).toISOString();
    expect(await count(`model=many&since=${day(200.5)}&until=${day(189.5)}`)).toBe(10);
    expect(await count(`since=${day(100.5)}&until=${day(98.5)}`)).toBe(2);
    expect(await count(`until=${day(300)}`)).toBe(0);
  });

  it("return the checks of the chart as CSV that no spreadsheet runs", async () => {
    await addCheckOf(world, "csv", { feature: "=HYPERLINK(1)", score: 0.5 });
    await addCheckOf(world, "csv", { feature: 'a,"b"', score: 0.25, fired: false, age: "40 days" });
    const { text, headers } = await get("/models/csv/checks.csv");
    expect(headers["content-disposition"]).toBe("attachment; filename=csv-checks.csv");
    expect(text.split("\r\n").map((line) => line.replace(/^[^,]+,/, ""))).toEqual([
      "feature,score,threshold,triggered",
      "'=HYPERLINK(1),0.5,0.05,true",
      '"a,""b""",0.25,0.05,false',
      "",
    ]);
    const recent = await get(
      `/models/csv/checks.csv?range=7d&feature=${encodeURIComponent("=HYPERLINK(1)")}`,
    );
    expect(recent.text.split("\r\n")).toHaveLength(3);
    expect((await get(`/models/csv/checks.csv?range=7d&feature=none`)).text.split("\r\n")).toHaveLength(2);
  });

  it("show every step of a training, and lead from a run to its decision", async () => {
    await addCheckOf(world, "program");
    const { runId, decisionId, report } = await world.decide({ model: "program" });
    expect(report).toContain(`   Page: ${PUBLIC_URL}/decisions/${decisionId}\n`);
    await until("the training has failed", async () =>
      (await listDecisions(world, "program")).some(({ state }) => state === "failed"),
    );
    const { text } = await get(`/decisions/${decisionId}`);
    const steps = /<h3>Every step<\/h3><ol>(.*?)<\/ol>/s.exec(text)?.[1] ?? "";
    const shown = steps
      .split("</li>")
      .map((step) => step.replaceAll(/<time.*?<\/time>|<[^>]+>/gs, "").trim())
      .filter((step) => step !== "");
    expect(shown[0]).toContain("requested from command");
    expect(shown.at(-1)).toContain("failed (completed, failure)");
    const led = await get(`/runs/${runId}`);
    expect([led.status, led.headers.location]).toEqual([303, `/decisions/${decisionId}`]);
    expect((await get("/runs/0198a000-0000-7000-8000-000000000000")).status).toBe(404);
    const job = await get(`/queues/api/queues/act/${runId}`, { accept: "application/json" });
    expect(job.text).toContain(`/runs/${runId}`);
  });

  it("show a decision while Redis, which knows its jobs, does not respond at all", async () => {
    const id = String((await listDecisions(world, "program"))[0]?.id);
    const database = createDatabase(world.config, createLogger("silent"));
    const live = { models: () => world.config.models };
    const hanging = { name: STAGES.at(-1), getJob: () => new Promise(() => {}) };
    const call = { params: { id }, query: {}, mayAct: false, now: Date.now() };
    const dependencies = { config: world.config, live, database, queues: [hanging] };
    const loaded = decisionPage.load(call as never, dependencies as never);
    expect(await isSettledWithin(loaded, 20_000)).toBe(true);
    expect(await loaded).toMatchObject({ title: `Triggered · #${id} program` });
    await database.close();
  });

  it("draw checks without a score, with no number and of any size", async () => {
    for (const score of ["NaN", "Infinity", "-Infinity", 0, -3, 1e-9, 1e300, null])
      await world.sql(
        `INSERT INTO monitoring.drift_log (model, metric, value, limit_value, fired, n, created_at)
         VALUES ('csv', 'odd', $1, NULL, false, 1, now() - interval '1 minute')`,
        [score],
      );
    for (const feature of ["", "odd"]) {
      const { status, text } = await get(`/models/csv?feature=${feature}`);
      expect(status).toBe(200);
      expect(text).not.toMatch(/NaN|Infinity|undefined|[0-9]{40}/);
    }
  });

  it("show no secret of the settings, and no page in a frame of another site", async () => {
    const { text } = await get("/settings");
    expect(text).toContain("All settings, as YAML");
    expect(text).toContain("[password of DSN]");
    expect(text).not.toContain(PASSWORD);
    expect((await get("/models/secretive")).text).not.toContain(PASSWORD);
    const foreign = { ...HTML, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    expect((await get("/models/csv", { ...foreign, "sec-fetch-dest": "iframe" })).status).toBe(403);
    expect((await get("/models/csv", { ...foreign, "sec-fetch-dest": "document" })).status).toBe(200);
  });

  it("say what a form has done only if one of them led there, with or without Sec-Fetch-Site", async () => {
    const says = async (headers: Record<string, string>): Promise<boolean> =>
      (await get("/models/csv?done=snoozed", { ...HTML, ...headers })).text.includes("Snoozed. No training");
    const own = { referer: `${address}/models/csv` };
    const site = (name: string) => ({ "sec-fetch-site": name });
    expect(await says(own)).toBe(true);
    expect(await says(site("same-origin"))).toBe(true);
    // A link from elsewhere must not claim it.
    const navigation = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    for (const name of ["cross-site", "same-site", "none"])
      expect(await says({ ...own, ...site(name), ...navigation }), name).toBe(false);
    expect(await says({})).toBe(false);
    const { port } = new URL(address);
    for (const referer of [
      "https://evil.example/models/csv",
      `https://evil.example/?${address}`,
      `${address}.evil.example/`,
      `https://127.0.0.1:${port}/`,
      `${PUBLIC_URL}/models/csv`,
      "about:blank",
      "no address",
    ])
      expect(await says({ referer }), referer).toBe(false);
  });

  it("show a problem as a page to a browser, and as a document to a program", async () => {
    const page = await get("/models/nothing");
    expect(page.status).toBe(404);
    expect(page.headers["content-type"]).toContain("text/html");
    expect(page.text).toContain("is not in the settings");
    const document = await get("/models/nothing", { accept: "*/*" });
    expect(document.json).toMatchObject({ status: 404, code: "UNKNOWN_MODEL" });
    expect((await get("/decisions?since=yesterday")).status).toBe(400);
    expect((await get("/requests/7777777")).status).toBe(404);
    expect((await get("/api/v1/decisions/7777777")).json).toMatchObject({ code: "NOT_FOUND" });
  });

  it("are read again only if something has changed", async () => {
    const { text } = await get("/models/many");
    const version = /data-version="([^"]*)"/.exec(text)?.[1]?.replaceAll("&quot;", '"') ?? "";
    expect((await get("/models/many", { ...HTML, "if-none-match": version })).status).toBe(304);
    const jobId = await world.client.send(INBOX_JOBS.manual, { model: "csv" });
    await world.client.waitForDecision(jobId, { limitMs: 25_000 });
    expect((await get("/models/many", { ...HTML, "if-none-match": version })).status).toBe(200);
  });

  it("take forms, but nothing else than forms and JSON, and only from themselves", async () => {
    const send = (headers: Record<string, string>, body = "") =>
      sendRaw(
        address,
        "POST",
        "/models/many/snooze",
        { host: new URL(address).host, ...HTML, ...headers },
        body,
      );
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const own = { "sec-fetch-site": "same-origin", origin: address };
    expect((await send({ ...form, "sec-fetch-site": "cross-site" }, "for=1d&reason=x")).status).toBe(403);
    expect((await send(form, "for=1d&reason=x")).status).toBe(403);
    expect((await send({ ...own, "content-type": "text/plain" }, "for=1d&reason=x")).status).toBe(415);
    const faulty = await send({ ...own, ...form }, "for=never&reason=x&more=1");
    expect(faulty.status).toBe(400);
    expect(faulty.text).toContain("expected a duration such as");
    const done = await send({ ...own, ...form }, "for=1d&reason=x");
    expect([done.status, done.headers.location]).toEqual([303, "/models/many?done=snoozed"]);
    // It is recorded while the response is on its way.
    const audit = await until("the result is recorded", async () => {
      const rows = await world.sql("SELECT action, target FROM retrigger_audit WHERE result = 'done'");
      return rows.length > 0 ? rows : null;
    });
    expect(audit).toContainEqual({ action: "POST /models/:model/snooze", target: "/models/many/snooze" });
  });
});
