import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { renderTuning } from "../core/backtest/tune-report.ts";
import type { Tuning } from "../core/backtest/tune.ts";
import { renderFrontSvg } from "../http/pages/backtest/front.tsx";
import { runTune } from "../use-cases/backtest.ts";
import { cadenceBody, type ReplayOptions, toCadence, withReplayOptions } from "./backtest.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote } from "./output.ts";
import { createProgress } from "./progress.ts";
import { encode, orRemotely } from "./remote.ts";

interface TuneOptions extends ReplayOptions {
  svg?: string;
}

/** `retrigger tune` */
export function createTune(): Command {
  const command = withReplayOptions(
    new Command("tune").description("try other thresholds over a model's history; changes nothing"),
  ).option("--svg <file>", "write a chart of trainings against unanswered drift");
  return orRemotely(
    command,
    async (options: TuneOptions) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const { model, since } = options;
      const progress = createProgress("Trying");
      const request = { model, since, cadence: toCadence(options), onProgress: progress.show };
      const tuning = await withDatabase(config, (database) =>
        runTune({ ...config, database }, request),
      ).finally(progress.end);
      await show(tuning, options);
    },
    async (service, options) => {
      const body = { since: options.since, ...cadenceBody(options) };
      const tuning = await service.call("POST", `/models/${encode(options.model)}/tune`, body);
      await show(tuning as unknown as Tuning, options);
    },
  );
}

async function show(tuning: Tuning, { model, json, svg }: TuneOptions): Promise<void> {
  if (svg !== undefined) {
    await writeFile(svg, renderFrontSvg(tuning));
    printNote(`Wrote ${svg}`);
  }
  print(json ? JSON.stringify(tuning, null, 2) : renderTuning(tuning, model).join("\n"));
}
