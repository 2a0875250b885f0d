import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { renderShadowReport } from "../core/report/shadow.ts";
import type { ShadowReport } from "../core/shadow-report.ts";
import { reportShadow } from "../use-cases/shadow-report.ts";
import { withDatabase } from "./connections.ts";
import { parseDuration, print, printNotes } from "./output.ts";
import { encode, orRemotely } from "./remote.ts";

interface ReportOptions {
  model?: string;
  since: string;
  json?: true;
}

/** `retrigger shadow ...` */
export function createShadow(): Command {
  const shadow = new Command("shadow").description("compare shadow policies with what was decided");
  orRemotely(
    shadow
      .command("report")
      .description("compare the shadow policy with recorded decisions")
      .option("-m, --model <name>", "the model; every one with a shadow policy by default")
      .option("--since <duration>", "how far back", parseDuration, "90d")
      .option("--json", "print a JSON array with an object per model"),
    async (options: ReportOptions) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      printNotes(config);
      const names = [...config.models].flatMap(([name, own]) => (own.shadow === null ? [] : [name]));
      await withDatabase(config, (database) =>
        printReports(options, names, (model) =>
          reportShadow(config.models, database, { model, since: options.since }),
        ),
      );
    },
    async (service, options) => {
      const { models } = (await service.call("GET", "/models")) as unknown as { models: Listed[] };
      const names = models.flatMap(({ model, hasShadow }) => (hasShadow ? [model] : []));
      await printReports(options, names, async (model) => {
        const path = `/models/${encode(model)}/shadow?since=${encode(options.since)}`;
        return (await service.call("GET", path)) as unknown as ShadowReport;
      });
    },
  );
  return shadow;
}

interface Listed {
  model: string;
  hasShadow: boolean;
}

/** @param names The models with a shadow policy. */
async function printReports(
  { model, json }: ReportOptions,
  names: readonly string[],
  read: (model: string) => Promise<ShadowReport>,
): Promise<void> {
  const reports: ShadowReport[] = [];
  for (const name of model === undefined ? names : [model]) reports.push(await read(name));
  if (json) print(JSON.stringify(reports, null, 2));
  else if (reports.length === 0)
    print("No model has a shadow policy. Write one under shadow, beside policy, in the YAML file");
  else
    for (const [index, report] of reports.entries())
      for (const line of [...(index > 0 ? [""] : []), ...renderShadowReport(report)]) print(line);
}
