import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createTcpProxy, type TcpProxy } from "../faults/tcp-proxy.ts";
import { HAS_NO_BROWSER, launchBrowser, tabTo, takePicture, type TestBrowser } from "../support/browser.ts";
import {
  addCheckOf,
  addRowsOf,
  createPolicyWorld,
  listDecisions,
  type PolicyWorld,
} from "../support/policies.ts";
import { failureOf, holdTable, until } from "../support/world.ts";

const onAlert = (guards: object = {}) => ({ policy: { when: { driftAlerts: 1 }, guards } });
/** Text in every place that others fill, which a browser would obey if it took it for a part of the page. */
const HOSTILE = `<img src=x onerror="alert(1)">"'><script>alert(2)</script>`;

const MODELS = {
  live: onAlert(),
  decided: onAlert(),
  forced: onAlert({ cooldown: "7d" }),
  approved: onAlert({ approval: "24h" }),
  rejected: onAlert({ approval: "24h" }),
  snoozed: onAlert(),
  broken: onAlert(),
  hostile: onAlert({ approval: "24h" }),
  refused: { ...onAlert(), trainer: { command: { command: ["/no/such/program"] } } },
};

describe.skipIf(HAS_NO_BROWSER)("in the browser, a person", { timeout: 60_000 }, () => {
  let world: PolicyWorld;
  let address: string;
  let browser: TestBrowser;
  let page: Page;
  let problems: string[];
  let wire: TcpProxy;

  beforeAll(async () => {
    world = await createPolicyWorld(MODELS);
    wire = await createTcpProxy(world.config.databaseUrl);
    // The pages have a connection of their own, which can be cut; the workers go on.
    await world.startApp();
    const web = await world.startApp({ role: "web", databaseUrl: wire.url });
    address = web.address() ?? "";
    browser = await launchBrowser();
    ({ page, problems } = await browser.open());
  });
  afterAll(async () => {
    await browser?.close();
    wire?.heal();
    await world?.close();
    await wire?.close();
  });

  const open = (path: string) => page.goto(address + path);
  const decideElsewhere = async (model: string): Promise<void> => {
    const jobId = await world.client.send(INBOX_JOBS.manual, { model });
    await world.client.waitForDecision(jobId, { limitMs: 25_000 });
  };

  it("sees a decision arrive without reading the page again, in place, title and icon", async () => {
    await open("/models/live");
    await page.getByText("No decision yet").first().waitFor();
    const marker = await page.evaluateHandle(() => document.body);
    await addCheckOf(world, "live");
    await decideElsewhere("live");
    await page.getByText("Retraining was triggered").waitFor();
    expect(await page.title()).toBe("Triggered · live · Retrigger");
    expect(await page.locator("#icon").getAttribute("href")).toBe("/assets/icon-good.svg");
    expect(await marker.evaluate((body) => body === document.body)).toBe(true);
    await open("/");
    await decideElsewhere("decided");
    await page.locator("tr", { hasText: "decided" }).getByText("drift is unknown").waitFor();
    expect(problems).toEqual([]);
  });

  it("decides now with the mouse: what will happen, then the stages, then the decision", async () => {
    await addCheckOf(world, "decided");
    await open("/models/decided");
    await page.getByText("Would be retrained now").waitFor();
    await page.locator("summary", { hasText: "Decide now" }).click();
    await page.getByText("As things stand it triggers: the mock trainer shows the request").waitFor();
    await page.getByRole("button", { name: "Decide now" }).click();
    await page.waitForURL(/\/decisions\/\d+$/);
    await page.getByText("Retraining was triggered: drift in ks (0.1, threshold 0.05)").waitFor();
    expect(await listDecisions(world, "decided")).toHaveLength(2);
    expect(await page.locator("a[href^='/queues/queue/']").allTextContents()).toEqual([
      "gather",
      "evaluate",
      "act",
      "summarize",
    ]);
  });

  it("follows the stages of a request while they run", async () => {
    const hold = await holdTable(world, "monitoring.drift_log");
    const jobId = await world.client.send(INBOX_JOBS.manual, { model: "live" });
    await open(`/requests/${jobId}`);
    await page.locator("li", { hasText: "gather" }).getByText("running").waitFor();
    await page.locator("li", { hasText: "drift_monitoring" }).getByText("done in").waitFor();
    await page.locator("li", { hasText: "summarize" }).getByText("waits").waitFor();
    await takePicture(page, "deciding");
    await hold.release();
    await page.waitForURL(/\/decisions\/\d+$/);
    expect(await page.title()).toContain("live");
  });

  it("decides, snoozes and ends the snooze with the keyboard alone", async () => {
    await open("/models/snoozed");
    await tabTo(page, "Decide now");
    await page.keyboard.press("Enter");
    await tabTo(page, "Decide now");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/decisions\/\d+$/);
    await open("/models/snoozed");
    await tabTo(page, "Snooze");
    await page.keyboard.press("Enter");
    await tabTo(page, /^For/);
    await page.keyboard.press("Control+a");
    await page.keyboard.type("2h");
    await tabTo(page, /^Reason/);
    await page.keyboard.type("the holidays");
    await page.keyboard.press("Enter");
    await page.getByText("Snoozed. No training").waitFor();
    await page.getByText("by local (the holidays)").first().waitFor();
    await tabTo(page, "End the snooze");
    await page.keyboard.press("Enter");
    await tabTo(page, "End the snooze");
    await page.keyboard.press("Enter");
    await page.getByText("The snooze has ended").waitFor();
    expect(await page.getByText("snoozed until").count()).toBe(0);
    const rows = await world.sql("SELECT reason, snoozed_by, ended_by FROM retraining_snoozes");
    expect(rows).toEqual([{ reason: "the holidays", snoozed_by: "local", ended_by: "local" }]);
  });

  it("approves one training with the mouse and rejects another with the keyboard", async () => {
    for (const model of ["approved", "rejected"]) {
      await addCheckOf(world, model);
      await decideElsewhere(model);
    }
    await open("/?state=approval");
    await page.getByRole("link", { name: "approved" }).click();
    await page.getByText("a person must approve the training").first().waitFor();
    await page.locator("summary", { hasText: "Approve" }).click();
    await page.locator("details[open]").getByLabel("Reason").fill("the drift is real");
    await page.getByRole("button", { name: /^Approve decision/ }).click();
    await page.waitForURL(/\/decisions\/\d+$/);
    await page.getByText("Retraining was triggered: drift in ks").waitFor();
    await page.getByText("approved by local (the drift is real)").waitFor();
    const [asked, triggered] = await listDecisions(world, "approved");
    expect(triggered?.decision).toBe("trigger_mock");
    await open(`/decisions/${asked?.id}`);
    await page.getByText("POST /decisions/:id/approve").waitFor();
    await page
      .locator("#cause")
      .getByRole("link", { name: `#${triggered?.id}` })
      .waitFor();

    await open("/models/rejected");
    await tabTo(page, "Reject");
    await page.keyboard.press("Enter");
    await tabTo(page, /^Reason/);
    await page.keyboard.type("a false alarm");
    await page.keyboard.press("Enter");
    await page.getByText("Rejected. No training is requested for this.").waitFor();
    await page.getByText("rejected by local (a false alarm)").waitFor();
    expect((await listDecisions(world, "rejected")).map(({ decision }) => decision)).not.toContain(
      "trigger_mock",
    );
    // Answered once: a second answer from a page that is still open is refused in words.
    const [rejected] = await listDecisions(world, "rejected");
    const answer = await page.evaluate(async (to) => {
      const body = new URLSearchParams({ reason: "too late" });
      const response = await fetch(to, { method: "POST", headers: { Accept: "text/html" }, body });
      return { status: response.status, text: await response.text() };
    }, `/decisions/${rejected?.id}/approve`);
    expect(answer.status).toBe(409);
    expect(answer.text).toContain("was rejected by local already");
    problems.length = 0;
  });

  it("forces a training past a cooldown, and the decision says who and why", async () => {
    await addCheckOf(world, "forced");
    await decideElsewhere("forced");
    await addCheckOf(world, "forced");
    await open("/models/forced");
    await page
      .getByText("cooling down for another")
      .first()
      .waitFor()
      .catch(() => {});
    await decideElsewhere("forced");
    await open("/models/forced");
    await page.getByText("cooling down until").first().waitFor();
    await page.locator("summary", { hasText: "Force" }).click();
    await page.locator("details[open]").getByLabel("Reason").fill("the demo is today");
    await page.getByRole("button", { name: "Force the training" }).click();
    await page.waitForURL(/\/decisions\/\d+$/);
    await page.getByText("forced by local (the demo is today)").first().waitFor();
    expect((await listDecisions(world, "forced")).at(-1)?.forced).toEqual({
      by: "local",
      reason: "the demo is today",
    });
  });

  it("retries a failed stage in Bull Board, within the same frame, and the chain goes on", async () => {
    await world.sql("ALTER TABLE monitoring.drift_log RENAME TO elsewhere");
    const failure = await failureOf(world.decide({ model: "broken" }));
    const runId = /run ([0-9a-f-]{36})/.exec(failure)?.[1] ?? "";
    await open("/models/broken");
    await page.getByText("Missing table").first().waitFor();
    await takePicture(page, "missing-table");
    await world.sql("ALTER TABLE monitoring.elsewhere RENAME TO drift_log");
    await open("/health");
    await page.locator("a[href='/queues/queue/gather?status=failed']").waitFor();
    await page.getByRole("link", { name: "Queues", exact: true }).click();
    await page.waitForURL(/\/queues$/);
    await page.goto(`${address}/queues/queue/gather/${runId}`);
    const button = page.locator("main button").nth(0);
    await button.hover();
    await page.getByText("Retry", { exact: true }).waitFor();
    await button.click();
    await page.getByRole("button", { name: /confirm/i }).click();
    await until("the decision", async () => (await listDecisions(world, "broken")).length > 0);
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Models" }).waitFor();
  });

  it("previews the refused requests and retries them together", async () => {
    await addCheckOf(world, "refused");
    await decideElsewhere("refused");
    await until(
      "the training has ended",
      async () => (await listDecisions(world, "refused"))[0]?.state === "failed",
    );
    // Only a trainer elsewhere refuses a request.
    await world.sql(
      "UPDATE retraining_dispatches SET state = 'rejected', ended_at = NULL WHERE model_name = 'refused'",
    );
    await open("/decisions?model=refused");
    await page.getByRole("link", { name: "Retry refused requests" }).click();
    await page.getByText("1 request was refused").waitFor();
    await page.getByRole("button", { name: "Retry it" }).click();
    await page.getByText("1 of 1 request sent again").waitFor();
    const [refused] = await listDecisions(world, "refused");
    await open(`/decisions/${refused?.id}`);
    await page.getByText("POST /decisions/:id/retry").waitFor();
    await until(
      "it was sent again",
      async () => (await listDecisions(world, "refused"))[0]?.state === "failed",
    );
  });

  it("is shown hostile texts as texts, on every page", async () => {
    await addCheckOf(world, "hostile", { feature: HOSTILE, score: 0.4 });
    await addRowsOf(world, "hostile", 3);
    await world.client.send(INBOX_JOBS.event, { runId: HOSTILE, source: HOSTILE, model: "hostile" });
    await until("the decision", async () => (await listDecisions(world, "hostile")).length > 0);
    await world.run("snooze", "hostile", "--for", "3h", "--by", HOSTILE, "--reason", HOSTILE);
    await until("the second one", async () => (await listDecisions(world, "hostile")).length > 1);
    const [first] = await listDecisions(world, "hostile");
    await world.run("reject", String(first?.id), "--by", HOSTILE, "--reason", HOSTILE);
    await world.sql(
      `UPDATE retraining_dispatches SET error = $1, conclusion = $1, url = $2, state = 'failed'
       WHERE model_name = 'approved'`,
      [HOSTILE, "javascript:alert(3)"],
    );
    const [training] = await world.sql<{ id: number }>(
      "SELECT decision_id AS id FROM retraining_dispatches WHERE model_name = 'approved'",
    );
    problems.length = 0;
    const shown = [
      "/models/hostile",
      `/decisions/${first?.id}`,
      "/events",
      "/settings",
      `/decisions/${training?.id}`,
    ];
    for (const path of [...shown, "/", "/trainings", "/decisions", `/?q=${encodeURIComponent(HOSTILE)}`]) {
      await open(path);
      expect(await page.locator("img, main script, [onerror]").count(), path).toBe(0);
      expect(await page.locator("a[href^='javascript']").count(), path).toBe(0);
    }
    for (const path of shown) {
      await open(path);
      expect(await page.content(), path).toContain("&lt;script&gt;alert(2)");
    }
    const faulty = await page.goto(`${address}/decisions?model=${encodeURIComponent(HOSTILE)}`);
    expect(faulty?.status()).toBe(400);
    await page.getByText("model is").waitFor();
    expect(await page.locator("img, [onerror]").count()).toBe(0);
    expect(problems.filter((problem) => !problem.includes("400"))).toEqual([]);
    problems.length = 0;
  });

  it("keeps the page while Postgres is away, which says so and recovers", async () => {
    await open("/models/live");
    await page.getByText("already acted on this drift").first().waitFor();
    wire.cut();
    await page.getByText("Postgres is away. Figures may be out of date").waitFor();
    await page.getByText("already acted on this drift").first().waitFor();
    await takePicture(page, "postgres-away");
    const other = await page.context().newPage();
    expect((await other.goto(`${address}/decisions`))?.status()).toBe(503);
    await other.getByText("Postgres is away").waitFor();
    await addCheckOf(world, "live");
    await decideElsewhere("live");
    wire.heal();
    await page.locator("#away").waitFor({ state: "hidden" });
    await page.getByText("Retraining was triggered").waitFor();
    // The page that could not be shown reads itself again.
    await other.getByRole("heading", { name: "Decisions" }).waitFor();
    await other.close();
    problems.length = 0;
  });

  it("sees that sources cannot be read, and that they can be again, in the page that is open", async () => {
    const { page: own, problems: ownProblems } = await browser.open();
    await own.clock.install();
    // Otherwise the stream of events, once it is open, has the page read again.
    const stream = "**/api/v1/stream";
    await own.route(stream, (route) => route.abort());
    await own.goto(`${address}/models/snoozed`);
    const notice = own.getByText("drift_log does not exist").first();
    await own.getByText("By the sources as of").waitFor();
    await world.sql("ALTER TABLE monitoring.drift_log RENAME TO elsewhere");
    try {
      // As when a person returns to the tab.
      await own.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
      await notice.waitFor();
    } finally {
      await world.sql("ALTER TABLE monitoring.elsewhere RENAME TO drift_log");
    }
    await own.unroute(stream);
    await own.clock.runFor(16_000);
    await own.getByText("By the sources as of").waitFor();
    await notice.waitFor({ state: "hidden" });
    // Then it waits for events again.
    expect(await own.locator("#main").getAttribute("data-refresh")).toBeNull();
    await addCheckOf(world, "snoozed");
    await world.run("unsnooze", "snoozed", "--by", "Ada");
    await decideElsewhere("snoozed");
    await own.getByText("Retraining was triggered").waitFor();
    expect(ownProblems.filter((problem) => !problem.includes("/api/v1/stream"))).toEqual([]);
    await own.context().close();
  });

  it("with a viewer's token sees no actions and cannot call them", async () => {
    const database = createDatabase(world.config, createLogger("silent"));
    const given = { name: "a viewer", role: "viewer", createdBy: "a test", forSeconds: null } as const;
    const { token } = await database.createToken(given);
    await database.close();
    const { page: own } = await browser.open();
    await until("a token is needed", async () => {
      await own.goto(`${address}/models/hostile`);
      return own.url().includes("/login");
    });
    await own.getByLabel("Token").fill(token);
    await own.keyboard.press("Enter");
    await own.getByRole("heading", { name: "hostile" }).waitFor();
    const [first] = await listDecisions(world, "hostile");
    for (const path of ["/models/hostile", `/decisions/${first?.id}`, "/decisions", "/settings", "/"]) {
      await own.goto(address + path);
      expect(await own.locator("form[method=post]:not([action='/logout'])").count(), path).toBe(0);
      expect(await own.locator("a[href*='/retry'], a[href*='dry-run']").count(), path).toBe(0);
    }
    expect(await own.getByRole("heading", { name: "Audit" }).count()).toBe(0);
    const before = await world.sql("SELECT count(*) FROM retraining_decisions");
    for (const path of [
      "/models/live/decide",
      "/models/live/snooze",
      `/decisions/${first?.id}/approve`,
      "/settings/tokens",
    ]) {
      const status = await own.evaluate(
        async (to) =>
          (await fetch(to, { method: "POST", body: new URLSearchParams({ reason: "x" }) })).status,
        path,
      );
      expect(status, path).toBe(403);
    }
    for (const path of ["/models/live/dry-run", "/decisions/retry"])
      expect((await own.goto(address + path))?.status(), path).toBe(403);
    await own.getByText("Your role does not allow this").waitFor();
    expect(await world.sql("SELECT count(*) FROM retraining_decisions")).toEqual(before);
    await own.goto(address);
    await own.getByRole("button", { name: "Log out" }).click();
    await own.waitForURL(/\/login/);
    await own.context().close();
  });
});
