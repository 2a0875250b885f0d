import { parseArgs } from "node:util";
import { bundleScripts } from "../support/bundle.ts";
import { type Lane, openLane } from "./lane.ts";
import { createGitHubPlans, createPlans, FAILOVERS, FAULTS, type Plan } from "./plans.ts";
import { makeRun, type Outcome } from "./runs.ts";
import { makeStorm } from "./storm.ts";
import { formatGitHubTable, formatTable } from "./table.ts";

/**
 * The long form: `npm run test:faults -- --runs 500`; with `--github`, each misbehaviour of GitHub with a kill at each point
 * between a decision and the end of its training; with `--cluster` or `--sentinel`, servers that replace each other. `--only N`
 * repeats one run of a seed. `--cluster --storm 2000` sends so many events and loses a master in the middle.
 */
const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "34" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string" },
    lanes: { type: "string", default: "4" },
    github: { type: "boolean", default: false },
    cluster: { type: "boolean", default: false },
    sentinel: { type: "boolean", default: false },
    storm: { type: "string" },
  },
});
const RECOVERY_LIMIT_MS = 15_000;
const runs = Number(values.runs);
const seed = Number(values.seed);
const redis = values.cluster ? "cluster" : values.sentinel ? "sentinel" : "alone";
const plans = values.github
  ? createGitHubPlans(seed)
  : createPlans(runs, seed, redis === "alone" ? FAULTS : FAILOVERS);
/** The options that repeat a run. */
const kind = ["github", "cluster", "sentinel"].flatMap((name) =>
  values[name as "github"] ? [`--${name} `] : [],
);
const numbered = plans.map((plan, index) => ({ number: index + 1, plan }));
const queue =
  values.only === undefined ? numbered : numbered.filter(({ number }) => number === Number(values.only));

const removeBundles = await bundleScripts();
if (values.storm !== undefined) {
  const lane = await openLane({ redis });
  const { violations, ...figures } = await makeStorm(lane, Number(values.storm));
  await lane.close();
  await removeBundles();
  console.table(figures);
  for (const { kind: broken, text } of violations) console.log(`   ${broken}: ${text}`);
  process.exit(violations.length > 0 ? 1 : 0);
}
console.log(`seed ${seed}, ${queue.length} runs`);
const outcomes: Outcome[] = [];
const startedAt = performance.now();
await Promise.all(Array.from({ length: Math.min(Number(values.lanes), queue.length) }, work));
const minutes = (performance.now() - startedAt) / 60_000;
console.log(
  `\n${values.github ? formatGitHubTable(outcomes) : formatTable(outcomes)}\n\nseed ${seed}, ${minutes.toFixed(1)} minutes`,
);
await removeBundles();
if (outcomes.some(({ violations }) => violations.length > 0)) process.exitCode = 1;

/** Makes one run after another on its own servers. */
async function work(): Promise<void> {
  let lane = await openLane({ redis });
  for (let next = queue.shift(); next; next = queue.shift()) {
    const outcome = await tryRun(lane, next.plan);
    outcomes.push(outcome);
    report(next.number, outcome);
    // What a fault broke must not affect the next run.
    if (outcome.violations.length > 0) {
      await lane.close();
      lane = await openLane({ redis });
    }
  }
  await lane.close();
}

async function tryRun(lane: Lane, plan: Plan): Promise<Outcome> {
  try {
    return await makeRun(lane, plan, { recoveryMs: RECOVERY_LIMIT_MS });
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return {
      plan,
      violations: [{ kind: "broken job", text }],
      decisions: 0,
      gone: 0,
      dispatches: 0,
      unknown: 0,
      recoveryMs: 0,
      hasStruck: false,
    };
  }
}

function report(number: number, { plan, violations }: Outcome): void {
  if (violations.length === 0) return;
  console.log(
    `run ${number} (again: ${kind.join("")}--runs ${runs} --seed ${seed} --only ${number}): ${JSON.stringify(plan)}`,
  );
  for (const { kind, text } of violations) console.log(`   ${kind}: ${text}`);
}
