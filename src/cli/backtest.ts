import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { readPolicyFile } from "../config/policy-file.ts";
import type { Cadence } from "../core/backtest/input.ts";
import { renderBacktest } from "../core/backtest/report.ts";
import { toMs } from "../core/duration.ts";
import { PermanentError } from "../core/errors.ts";
import { Policy } from "../core/policy.ts";
import { renderBacktestDocument } from "../http/pages/backtest/document.tsx";
import { runBacktest } from "../use-cases/backtest.ts";
import { withDatabase } from "./connections.ts";
import { modelOption, parseDuration, print, printNote } from "./output.ts";
import { createProgress } from "./progress.ts";
import { encode, orRemotely } from "./remote.ts";

export interface ReplayOptions {
  model: string;
  since: string;
  atEvents?: true;
  every?: string;
  json?: true;
}

interface BacktestOptions extends ReplayOptions {
  policy?: string;
  html?: string;
}

type Result = Awaited<ReturnType<typeof runBacktest>>;

/** `retrigger backtest` */
export function createBacktest(): Command {
  const command = withReplayOptions(
    new Command("backtest").description(
      "replay the policy in force, and another one, over a model's history",
    ),
  )
    .option("--policy <file>", "a YAML file with another policy; what it leaves out is as in force")
    .option("--html <file>", "write a page with the result");
  return orRemotely(
    command,
    async (options: BacktestOptions) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const { model, since, policy } = options;
      const { policy: inForce } = findModel(config.models, model);
      const candidate = policy === undefined ? null : readPolicyFile(policy, inForce);
      const progress = createProgress("Replaying");
      const result = await withDatabase(config, (database) =>
        runBacktest(
          { ...config, database },
          { model, candidate, since, cadence: toCadence(options), onProgress: progress.show },
        ),
      ).finally(progress.end);
      await show(result, options);
    },
    async (service, options) => {
      const { model, since, policy } = options;
      const path = `/models/${encode(model)}`;
      const candidate =
        policy === undefined
          ? {}
          : {
              policy: readPolicyFile(
                policy,
                Policy.parse((await service.call("GET", `${path}/policy`))["policy"]),
              ),
            };
      const body = { since, ...cadenceBody(options), ...candidate };
      const result = (await service.call("POST", `${path}/backtest`, body)) as unknown as Result;
      await show(result, options);
    },
  );
}

/** The options that `backtest` and `tune` share. */
export function withReplayOptions(command: Command): Command {
  return command
    .addOption(modelOption())
    .option("--since <duration>", "how far back", parseDuration, "90d")
    .option("--at-events", "decide at the events of drift runs")
    .option("--every <duration>", "decide at this interval")
    .option("--json", "print JSON");
}

/** When to decide; null to choose what the history allows. */
export function toCadence({ atEvents, every }: ReplayOptions): Cadence | null {
  if (atEvents && every !== undefined)
    throw new PermanentError("BAD_INPUT", "--at-events and --every exclude each other");
  if (every === undefined) return atEvents ? "events" : null;
  const everyMs = toMs(parseDuration(every));
  if (everyMs < 60_000) throw new PermanentError("BAD_INPUT", `--every is ${every}: expected at least 1m`);
  return { everyMs };
}

/** The same for the API. */
export function cadenceBody(options: ReplayOptions): object {
  const cadence = toCadence(options);
  if (cadence === null) return {};
  return typeof cadence === "object" ? { every: options.every } : { atEvents: true };
}

async function show(result: Result, { model, json, html }: BacktestOptions): Promise<void> {
  if (html !== undefined) {
    await writeFile(html, renderBacktestDocument(model, result));
    printNote(`Wrote ${html}`);
  }
  if (json) return print(JSON.stringify(result, null, 2));
  if (html === undefined)
    print(renderBacktest(result, { model, cadence: result.cadence }).join("\n").trimEnd());
}
