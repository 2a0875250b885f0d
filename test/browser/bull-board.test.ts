import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { App } from "../../src/app.ts";
import { loadSampleData } from "../../src/embedded/sample-data.ts";
import { HAS_NO_BROWSER, launchBrowser, takePicture, type TestBrowser } from "../support/browser.ts";
import { createWorld, failureOf, until, type World } from "../support/world.ts";

describe.skipIf(HAS_NO_BROWSER)("in a browser", () => {
  let world: World;
  let app: App;
  let browser: TestBrowser;
  let page: Page;

  beforeAll(async () => {
    world = await createWorld({ isEmpty: true });
    await loadSampleData(world.config.databaseUrl, 1);
    app = await world.startApp({ role: "all" });
    browser = await launchBrowser();
    ({ page } = await browser.open());
  });
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it("retries a failed stage from Bull Board's page, and the chain continues", async () => {
    await world.sql("ALTER TABLE ratings_buffer RENAME TO elsewhere");
    const runId = /run ([0-9a-f-]{36})/.exec(await failureOf(world.decide()))?.[1] ?? "";
    await world.sql("ALTER TABLE elsewhere RENAME TO ratings_buffer");

    await page.goto(`${app.address()}/queues/queue/gather/${runId}`);
    await page.getByText("Missing table").first().waitFor();
    await takePicture(page, "failed-stage");
    await clickRetry(page, 0);
    await until("the decision", async () => (await world.sql("SELECT 1 FROM retraining_decisions")).length);
    expect(await world.sql("SELECT run_id, decision FROM retraining_decisions")).toEqual([
      { run_id: runId, decision: "trigger_mock" },
    ]);
  });

  // The second test uses the decision of the first one.
  it("shows a completed stage's log, and its retry makes no second decision", async () => {
    const { runId } = await world.decide();
    await page.goto(`${app.address()}/queues/queue/summarize/${runId}`);
    await page.getByRole("tab", { name: "Logs" }).click();
    await page.getByText("FINAL STATUS: NO ACTION").waitFor();
    await takePicture(page, "summarize-log");
    const before = await world.sql("SELECT * FROM retraining_decisions ORDER BY id");
    const key = `${world.config.redisPrefix}:act:${runId}`;
    const finishedOn = await world.redis.hget(key, "finishedOn");
    await page.goto(`${app.address()}/queues/queue/act/${runId}`);
    await clickRetry(page, 1);
    await until("act ran again", async () => {
      const again = await world.redis.hget(key, "finishedOn");
      return again !== null && again !== finishedOn;
    });
    expect(await world.sql("SELECT * FROM retraining_decisions ORDER BY id")).toEqual(before);
  });
});

/** Clicks the retry button of a job's page, which has no name but its tooltip, and confirms. */
async function clickRetry(page: Page, position: number): Promise<void> {
  const button = page.locator("main button").nth(position);
  await button.hover();
  await page.getByText("Retry", { exact: true }).waitFor();
  await button.click();
  await takePicture(page, "retry");
  await page.getByRole("button", { name: /confirm/i }).click();
}
