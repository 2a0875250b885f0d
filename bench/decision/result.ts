import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { DECISION, FAR, FLOOR, NODE, PEERS } from "./contender.ts";
import type { CpuTimes } from "./cpu.ts";
import { type Measures, pairedRatio, quantile } from "./measure.ts";

/** What the bench found; docs/performance.json is one. */
export interface BenchResult {
  machine: string;
  versions: Record<string, string>;
  rounds: number;
  contenders: Record<string, ContenderResult>;
  ratios: Record<string, number>;
}

export interface ContenderResult {
  p50Ms: number;
  p99Ms: number;
  perSecond: number;
  redisCommands: number;
  postgresTrips: number;
  firstMs: number;
  /** Resident memory after the rounds and a rest of 20 s. */
  rssMb: number;
  /** Of one decision in the burst. */
  cpuMs: Record<keyof CpuTimes, number>;
}

export interface Measured {
  measures: Measures;
  firstMs: number;
  rssMb: number;
}

/** The targets of the project. A ratio pairs the rounds of two contenders, and is their median. */
const TARGETS: readonly Target[] = [
  { name: "p50: decision / floor", atMost: 1.2, of: (by) => ratio(by, FLOOR, "p50Ms") },
  { name: "throughput: decision / floor", atLeast: 0.8, of: (by) => ratio(by, FLOOR, "perSecond") },
  { name: "memory: decision / floor", atMost: 1.15, of: (by) => rssOf(by, DECISION) / rssOf(by, FLOOR) },
  { name: "p50: best peer / decision", atLeast: 1.25, of: (by) => 1 / best(by, "p50Ms", Math.max) },
  { name: "throughput: decision / best peer", atLeast: 1.6, of: (by) => best(by, "perSecond", Math.min) },
  {
    name: "round trips to Postgres",
    atMost: 3,
    of: (by) => Math.round(quantile(by.get(DECISION)?.measures.transactions ?? [], 0.5) * 10) / 10,
  },
  {
    name: "ms with the database 30 ms away",
    atMost: 120,
    of: (by) => quantile(by.get(FAR)?.measures.p50Ms ?? [], 0.5),
  },
  { name: "ms to the first decision", atMost: 1_500, of: (by) => by.get(DECISION)?.firstMs ?? Number.NaN },
];

type Target = { name: string; of(by: ReadonlyMap<string, Measured>): number } & (
  { atMost: number; atLeast?: never } | { atLeast: number; atMost?: never }
);

function ratio(by: ReadonlyMap<string, Measured>, other: string, key: "p50Ms" | "perSecond"): number {
  return pairedRatio(by.get(DECISION)?.measures[key] ?? [], by.get(other)?.measures[key] ?? []);
}

function rssOf(by: ReadonlyMap<string, Measured>, name: string): number {
  return by.get(name)?.rssMb ?? Number.NaN;
}

/** The ratio to the peer against which it is worst. */
function best(
  by: ReadonlyMap<string, Measured>,
  key: "p50Ms" | "perSecond",
  worst: (...ratios: number[]) => number,
): number {
  const ratios = PEERS.map((name) => ratio(by, name, key)).filter((value) => !Number.isNaN(value));
  return ratios.length === 0 ? Number.NaN : worst(...ratios);
}

export function toResult(
  by: ReadonlyMap<string, Measured>,
  rounds: number,
  versions: Record<string, string>,
): BenchResult {
  return {
    machine: `${cpus().length} cores, ${cpus()[0]?.model ?? "unknown"}`,
    versions: { node: execFileSync(NODE, ["--version"], { encoding: "utf8" }).trim(), ...versions },
    rounds,
    contenders: Object.fromEntries([...by].map(([name, measured]) => [name, summarize(measured)])),
    ratios: Object.fromEntries(
      TARGETS.map(({ name, of }) => [name, round(of(by), 2)] as const).filter(
        ([, value]) => !Number.isNaN(value),
      ),
    ),
  };
}

function summarize({ measures, firstMs, rssMb }: Measured): ContenderResult {
  const median = (values: readonly number[]): number => round(quantile(values, 0.5), 1);
  return {
    p50Ms: median(measures.p50Ms),
    p99Ms: median(measures.p99Ms),
    perSecond: Math.round(quantile(measures.perSecond, 0.5)),
    redisCommands: median(measures.redisCommands),
    postgresTrips: median(measures.transactions),
    firstMs: Math.round(firstMs),
    rssMb: Math.round(rssMb),
    cpuMs: {
      worker: median(measures.cpuMs.worker),
      redis: median(measures.cpuMs.redis),
      postgres: median(measures.cpuMs.postgres),
    },
  };
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** The result as two Markdown tables. */
export function renderResult({ machine, versions, rounds, contenders, ratios }: BenchResult): string {
  const cells = (values: readonly (string | number)[]): string => `| ${values.join(" | ")} |`;
  const orDash = (value: number): string | number => (Number.isNaN(value) ? "-" : value);
  return [
    `${machine}; ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}; ${rounds} rounds, medians`,
    "",
    "| program | p50 ms | p99 ms | per second | Redis commands | Postgres trips | first ms | RSS MB |",
    "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ...Object.entries(contenders).map(([name, own]) => {
      const figures = Object.values(own).filter((value) => typeof value === "number");
      return cells([name, ...figures.map(orDash)]);
    }),
    "",
    "| CPU ms per decision in a burst | worker | Redis | Postgres |",
    "| --- | --: | --: | --: |",
    ...Object.entries(contenders)
      .filter(([name]) => name !== FAR)
      .map(([name, { cpuMs }]) => cells([name, cpuMs.worker, cpuMs.redis, cpuMs.postgres])),
    "",
    "| figure | found | target | |",
    "| --- | --: | --: | --- |",
    ...TARGETS.filter(({ name }) => ratios[name] !== undefined).map((target) =>
      cells([
        target.name,
        ratios[target.name] ?? "-",
        describeTarget(target),
        isMet(target, ratios) ? "met" : "missed",
      ]),
    ),
  ].join("\n");
}

function describeTarget({ atMost, atLeast }: Target): string {
  return atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
}

function isMet({ name, atMost, atLeast }: Target, ratios: Readonly<Record<string, number>>): boolean {
  const found = ratios[name] ?? Number.NaN;
  return atMost === undefined ? found >= atLeast : found <= atMost;
}

/** How much worse than committed a ratio may be: machines differ, and so do days. */
const TOLERANCE = 0.15;

/** Compares with an earlier result. Returns a line for each figure that is worse. */
export function findRegressions(result: BenchResult, earlier: BenchResult): string[] {
  return TARGETS.flatMap(({ name, atMost }) => {
    const [own, known] = [result.ratios[name], earlier.ratios[name]];
    if (own === undefined || known === undefined) return [];
    const isWorse = atMost === undefined ? own < known * (1 - TOLERANCE) : own > known * (1 + TOLERANCE);
    return isWorse ? [`${name}: ${own}, was ${known}`] : [];
  });
}
