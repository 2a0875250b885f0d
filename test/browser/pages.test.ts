import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  HAS_NO_BROWSER,
  findBarriers,
  launchBrowser,
  takePicture,
  type TestBrowser,
} from "../support/browser.ts";
import type { PolicyWorld } from "../support/policies.ts";
import { createStandings } from "../support/standings.ts";
import { DAY } from "../support/today.ts";

const SCHEMES = ["light", "dark"] as const;
const WIDTHS = [1280, 360] as const;

/** Half of the combinations a day, so that all are tried in two days. BROWSER_ALL=1 tries them all. */
const COMBINATIONS = SCHEMES.flatMap((scheme, a) =>
  WIDTHS.map((width, b) => ({ scheme, width, turn: (a + b) % 2 })),
).filter(({ turn }) => process.env["BROWSER_ALL"] === "1" || turn === DAY % 2);

describe.skipIf(HAS_NO_BROWSER)("every page", { timeout: 120_000 }, () => {
  let world: PolicyWorld;
  let address: string;
  let browser: TestBrowser;
  let paths: string[];

  beforeAll(async () => {
    ({ world, address } = await createStandings());
    browser = await launchBrowser();
    const decisions = await world.sql<{ id: number; model: string }>(
      "SELECT DISTINCT ON (model) id, model FROM retraining_decisions ORDER BY model, id DESC",
    );
    const idOf = (model: string): number => decisions.find((each) => each.model === model)?.id ?? 0;
    paths = [
      "/",
      "/?state=held",
      "/?q=nothing-has-this-name",
      ...["triggered", "approving", "failed", "unknown", "unchecked"].map((model) => `/models/${model}`),
      "/models/quiet/dry-run",
      "/models/no-such-model",
      "/decisions",
      "/decisions?reason=cooldown",
      ...["triggered", "approving", "failed", "unknown"].map((model) => `/decisions/${idOf(model)}`),
      "/decisions/retry",
      "/decisions/999999",
      "/trainings",
      "/events",
      "/events?model=no-such-model",
      "/health",
      "/settings",
      "/verification",
      "/login",
    ];
  });
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it.each(COMBINATIONS)(
    "works without errors and barriers: $scheme, $width px",
    async ({ scheme, width }) => {
      const { page, problems } = await browser.open({
        colorScheme: scheme,
        viewport: { width, height: 900 },
      });
      const found: string[] = [];
      for (const path of paths) {
        const response = await page.goto(address + path);
        if (path === "/health") await page.getByText("found nothing wrong").waitFor();
        const barriers = await findBarriers(page);
        if (barriers.length > 0) found.push(path, ...barriers);
        if (await isWiderThan(page, width)) found.push(`${path} is wider than the window`);
        // The browser itself reports a 404.
        if (response?.status() === 404) problems.length = 0;
        if (problems.length > 0) found.push(path, ...problems.splice(0));
        const name = path.replaceAll(/[^a-z0-9]+/gi, "-").replaceAll(/^-|-$/g, "") || "overview";
        await takePicture(page, `${name}-${scheme}-${width}`);
      }
      expect(found).toEqual([]);
      await page.context().close();
    },
  );

  it("takes less than 60 kB of script and style over the wire, from here alone", async () => {
    const { page } = await browser.open();
    for (const path of ["/", "/models/failed", "/decisions"]) {
      const sizes: number[] = [];
      const others: string[] = [];
      page.on("response", (response) => {
        if (!response.url().startsWith(address)) others.push(response.url());
        if (["script", "stylesheet"].includes(response.request().resourceType()))
          sizes.push(Number(response.headers()["content-length"] ?? Number.NaN));
      });
      await page.goto(address + path);
      await page.waitForLoadState("load");
      page.removeAllListeners("response");
      expect(others).toEqual([]);
      expect(sizes).toHaveLength(2);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(60_000);
    }
    await page.context().close();
  });

  it("can be read without a script, and does not shift when there is one", async () => {
    const { page: plain } = await browser.open({ javaScriptEnabled: false });
    await plain.goto(`${address}/models/short`);
    await plain.getByText("Not retraining: 6 events short.").waitFor();
    await plain.locator("summary", { hasText: "Snooze" }).click();
    await plain.getByLabel("For").waitFor();
    await plain.context().close();

    const { page } = await browser.open({ timezoneId: "Asia/Kolkata" });
    await page.addInitScript(() => {
      const shifts = ((globalThis as unknown as { shifts: number[] }).shifts = [] as number[]);
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(`${address}/models/triggered`);
    await page.getByText("Times are in Asia/").waitFor();
    const shifts = await page.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts);
    expect(shifts.reduce((sum, shift) => sum + shift, 0)).toBeLessThan(0.01);
    const time = page.locator("#answer time").first();
    expect(await time.getAttribute("title")).toMatch(/ UTC$/);
    const [local = ""] = (await time.textContent())?.match(/\d\d:\d\d/) ?? [];
    const utc = (await time.getAttribute("title"))?.slice(11, 16) ?? "";
    // Five and a half hours ahead.
    expect((toMinutes(local) - toMinutes(utc) + 1_440) % 1_440).toBe(330);
    await page.context().close();
  });
});

const toMinutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));

const isWiderThan = (page: Page, width: number): Promise<boolean> =>
  page.evaluate((most) => document.documentElement.scrollWidth > most, width);
