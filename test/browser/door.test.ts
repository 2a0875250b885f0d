import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { HAS_NO_BROWSER, launchBrowser, takePicture, type TestBrowser } from "../support/browser.ts";
import { createWorld, type World } from "../support/world.ts";

describe.skipIf(HAS_NO_BROWSER)("in a browser", () => {
  let world: World;
  let address: string;
  let token: string;
  let browser: TestBrowser;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    world = await createWorld();
    const database = createDatabase(world.config, createLogger("silent"));
    const given = { name: "a person", role: "viewer", createdBy: "a test", forSeconds: null } as const;
    ({ token } = await database.createToken(given));
    await database.close();
    address = (await world.startApp({ role: "web" })).address() ?? "";
    browser = await launchBrowser();
    ({ page, problems } = await browser.open());
  });
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it("a person is asked for a token, and then led to the page", async () => {
    await page.goto(`${address}/decisions`);
    expect(new URL(page.url()).pathname).toBe("/login");
    await takePicture(page, "login");
    await page.getByLabel("Token").fill("rt_wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("unknown, revoked or expired").waitFor();
    // The browser itself reports the 401.
    problems.length = 0;
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Decisions" }).waitFor();
    expect(new URL(page.url()).pathname).toBe("/decisions");
  });

  it("the page of the API and Bull Board work under the strict policy", async () => {
    await page.goto(`${address}/api/v1/docs`);
    await page.getByText("Report that a drift run has ended").waitFor();
    await takePicture(page, "api");
    await page.goto(`${address}/queues`);
    await page.getByText("drift_monitoring").first().waitFor();
    await takePicture(page, "viewer");
    expect(problems).toEqual([]);
  });
});
