import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { computeSpreadOffsetMs } from "../queues/spread.ts";
import { quantile } from "./decision/measure.ts";
import type { BenchResult } from "./decision/result.ts";

// Simulates a day of many models, from the throughput that `npm run bench` measured: how old does a request get before a worker
// takes it? Each model has a schedule at 06:00, spread over a window, and one event at some time of the day.
const { values: options } = parseArgs({
  options: {
    models: { type: "string", default: "100000" },
    /** Decisions per second; by default as docs/performance.json has it. */
    rate: { type: "string" },
  },
});

const HOUR_MS = 3_600_000;
const SCHEDULED_AT_MS = 6 * HOUR_MS;
const SPREADS = [
  ["none", 0],
  ["10m", HOUR_MS / 6],
  ["1h", HOUR_MS],
  ["6h", 6 * HOUR_MS],
  ["18h", 18 * HOUR_MS],
] as const;

const models = Array.from({ length: Number(options.models) }, (_, index) => `model-${index}`);
const rate = Number(options.rate ?? (await readRate()));
console.log(`${models.length.toLocaleString("en-US")} models, ${rate} decisions per second\n`);
console.log("| spread | age p50 s | age p99 s | oldest s |");
console.log("| ------ | --------: | --------: | -------: |");
for (const [name, spreadMs] of SPREADS) {
  const ages = simulate(listRequests(spreadMs), 1000 / rate);
  const cells = [0.5, 0.99, 1].map((share) => (quantile(ages, share) / 1000).toFixed(1).padStart(9));
  console.log(`| ${name.padEnd(6)} | ${cells.join(" | ")} |`);
}

async function readRate(): Promise<number> {
  const result = JSON.parse(await readFile("docs/performance.json", "utf8")) as BenchResult;
  return result.contenders["decision"]?.perSecond ?? Number.NaN;
}

/** When requests arrive, in milliseconds since midnight. */
function listRequests(spreadMs: number): number[] {
  return models
    .flatMap((model) => [
      SCHEDULED_AT_MS + computeSpreadOffsetMs(model, spreadMs),
      computeSpreadOffsetMs(`event of ${model}`, 24 * HOUR_MS),
    ])
    .toSorted((a, b) => a - b);
}

/** One queue, whose jobs each take `costMs`. Returns how long each request waited. */
function simulate(requests: readonly number[], costMs: number): number[] {
  let freeAt = 0;
  return requests.map((at) => {
    const startedAt = Math.max(at, freeAt);
    freeAt = startedAt + costMs;
    return startedAt - at;
  });
}
