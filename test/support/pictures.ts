import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { launchBrowser } from "./browser.ts";

/** Makes the pictures of the documentation from the demo: `npm run docs:pictures`. */
const PICTURES = [
  { path: "/", name: "overview", height: 620 },
  { path: "/models/cinematch", name: "model", height: 1_010 },
  { path: "/models/search/backtest?since=60d&guards.cooldown.for=1d", name: "backtest", height: 920 },
  { path: "/models/search/tune?since=60d", name: "tune", height: 860 },
] as const;

const demo = spawn(process.execPath, ["--import", "tsx", "src/demo.ts"], {
  env: { ...process.env, PORT: "0", TSX_DISABLE_CACHE: "1" },
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  const browser = await launchBrowser();
  const { page } = await browser.open({ deviceScaleFactor: 1 });
  const address = await untilServing();
  for (const picture of PICTURES) {
    await page.setViewportSize({ width: 1_200, height: picture.height });
    await page.goto(address + picture.path);
    await page.screenshot({ path: `docs/${picture.name}.png` });
  }
  await browser.close();
} finally {
  demo.kill("SIGINT");
}

async function untilServing(): Promise<string> {
  for await (const line of createInterface({ input: demo.stdout })) {
    const [, address] = /^All models:\s+(http\S+?)\/?$/.exec(line) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error("the demo ended before it served its pages");
}
