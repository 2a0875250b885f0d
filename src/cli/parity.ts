import { Command, Option } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { toPlain } from "../core/format.ts";
import { parityLines, type ParityReport } from "../core/parity/lines.ts";
import { PointInTime } from "../core/point-in-time.ts";
import { compareModel } from "../use-cases/parity.ts";
import { withDatabase } from "./connections.ts";
import { parsePointInTime, print } from "./output.ts";
import { encode, orRemotely } from "./remote.ts";

interface ParityOptions {
  model?: string;
  since: string;
  json?: true;
}

/** `retrigger parity` */
export function createParity(): Command {
  const command = new Command("parity")
    .description("compare the decisions with those of the Airflow DAG running alongside")
    .option("-m, --model <name>", "the model; the only one by default")
    .addOption(
      new Option("--since <time>", "from when on, such as 90d or 2026-01-01")
        .default("90d")
        .argParser(parsePointInTime),
    )
    .option("--json", "print JSON");
  return orRemotely(
    command,
    async ({ model, since, json }: ParityOptions) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const name = model ?? chooseModel([...config.models.keys()]);
      const point = PointInTime.parse(since);
      const report = await withDatabase(config, (database) => compareModel(config, database, name, point));
      printParity(report, config.timeZone, json);
    },
    async (service, { model, since, json }) => {
      const { models } = (await service.call("GET", "/models")) as unknown as { models: { model: string }[] };
      const name = model ?? chooseModel(models.map((each) => each.model));
      const path = `/models/${encode(name)}/parity?since=${encode(since)}`;
      printParity((await service.call("GET", path)) as unknown as ParityReport, "UTC", json);
    },
  );
}

/** The only model, or the one of the environment. */
function chooseModel(names: readonly string[]): string {
  return names.length === 1 ? names.join("") : "default";
}

/** Prints a report. A difference that nothing explains is a fault found. */
function printParity(report: ParityReport, timeZone: string, json?: true): void {
  if (report.differences.some(({ code }) => code === "unexplained")) process.exitCode = 1;
  if (json) print(JSON.stringify(report, null, 2));
  else for (const line of parityLines(report, timeZone)) print(toPlain(line));
}
