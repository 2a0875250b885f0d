import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import { type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { CHROMIUM } from "./chromium.ts";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The directory for screenshots, for inspection. */
const PICTURES = ".data/pictures";

/** Whether there is no browser for the tests that need one; the closing line says so. */
export const HAS_NO_BROWSER = CHROMIUM === undefined;

export interface TestBrowser {
  /** Opens a page, and collects what is wrong on it. */
  open(options?: BrowserContextOptions): Promise<{ page: Page; problems: string[] }>;
  close(): Promise<void>;
}

export async function launchBrowser(): Promise<TestBrowser> {
  await mkdir(PICTURES, { recursive: true });
  const browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: FLAGS });
  return {
    async open(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
      const page = await context.newPage();
      page.setDefaultTimeout(15_000);
      const problems: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") problems.push(`${message.text()} ${message.location().url}`);
      });
      page.on("pageerror", (error) => problems.push(String(error)));
      page.on("dialog", (dialog) => {
        problems.push(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      return { page, problems };
    },
    close: () => browser.close(),
  };
}

export const takePicture = (page: Page, name: string): Promise<Buffer> =>
  page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe-core finds on a page, a line each. */
export async function findBarriers(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const results = await page.evaluate((values) => {
    const { axe } = globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } };
    return axe.run({ runOnly: { type: "tag", values } });
  }, RULES);
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ""}`),
  );
}

/** Presses Tab until the focus is on what has a name, as a person without a mouse would. */
export async function tabTo(page: Page, name: string | RegExp, limit = 80): Promise<void> {
  for (let presses = 0; presses < limit; presses += 1) {
    await page.keyboard.press("Tab");
    const text = await page.evaluate(() => {
      const focused = document.activeElement as HTMLElement | null;
      const label = (focused as HTMLInputElement | null)?.labels?.[0]?.textContent;
      return (label ?? focused?.getAttribute("aria-label") ?? focused?.textContent ?? "").trim();
    });
    if (typeof name === "string" ? text === name : name.test(text)) return;
  }
  throw new Error(`no ${String(name)} within ${limit} presses of Tab`);
}
