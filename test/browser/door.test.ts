import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createWorld, type World } from "../support/world.ts";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
/** The directory for screenshots, for inspection. */
const PICTURES = ".data/pictures";

// Debian's Chromium; .ci/run installs it.
describe.skipIf(!existsSync(CHROMIUM))("in a browser", () => {
  let world: World;
  let address: string;
  let token: string;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    await mkdir(PICTURES, { recursive: true });
    world = await createWorld();
    const database = createDatabase(world.config, createLogger("silent"));
    const given = { name: "a person", role: "viewer", createdBy: "a test", forSeconds: null } as const;
    ({ token } = await database.createToken(given));
    await database.close();
    address = (await world.startApp({ role: "web" })).address() ?? "";
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    page.on("pageerror", (error) => problems.push(String(error)));
  });
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it("a person is asked for a token, and then led to the page", async () => {
    await page.goto(`${address}/decisions`);
    expect(new URL(page.url()).pathname).toBe("/login");
    await page.screenshot({ path: `${PICTURES}/login.png` });
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
    await page.screenshot({ path: `${PICTURES}/api.png` });
    await page.goto(`${address}/queues`);
    await page.getByText("drift_monitoring").first().waitFor();
    await page.screenshot({ path: `${PICTURES}/viewer.png` });
    expect(problems).toEqual([]);
  });
});
