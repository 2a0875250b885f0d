import { Command, Option } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { formatCount, formatInstant, toPlain } from "../core/format.ts";
import { PointInTime } from "../core/point-in-time.ts";
import { KEPT_BECAUSE } from "../postgres/prune/kept-sql.ts";
import { prune, type PruneResult } from "../use-cases/prune/prune.ts";
import { audited } from "./audited.ts";
import { loadDatabaseEnvironment } from "./database-environment.ts";
import { withDatabase } from "./connections.ts";
import { parsePointInTime, print, printNote } from "./output.ts";
import { createProgress } from "./progress.ts";

interface PruneOptions {
  before: string;
  model?: string;
  archive?: string;
  dryRun?: true;
  json?: true;
}

/** `retrigger prune` */
export function createPrune(): Command {
  return new Command("prune")
    .description("remove old decisions, events, reported checks and audit entries")
    .addOption(
      new Option("--before <time>", "what is older, such as 180d or 2026-01-01; at least 30d")
        .argParser(parsePointInTime)
        .makeOptionMandatory(),
    )
    .option("-m, --model <name>", "only this model, and no audit entries")
    .option("--archive <file>", "append the rows to this file before: JSON lines, gzip")
    .option("--dry-run", "only count what would be removed")
    .option("--json", "print JSON")
    .action(run);
}

async function run({ before, model, archive, dryRun, json }: PruneOptions): Promise<void> {
  const config = parseConfigWithoutRedis(loadDatabaseEnvironment("prune"));
  const request = {
    before: PointInTime.parse(before),
    model: model ?? null,
    archive: archive ?? null,
    isDryRun: dryRun === true,
  };
  if (!request.isDryRun && request.archive === null)
    printNote("Without --archive, the rows are removed without a copy.");
  const progress = createProgress("Pruning");
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const onProgress = (done: number, total: number): void =>
    progress.show(total === 0 ? 1 : done / total, `${formatCount(done)} of ${formatCount(total)} rows`);
  const hooks = { onProgress, onNote: printNote, signal: stopping.signal };
  try {
    const result = await withDatabase(config, (database) => {
      const act = () => prune(config, database, request, hooks);
      const target = `${model ?? "all models"} before ${before}`;
      return request.isDryRun ? act() : audited(database, { action: "prune", target }, act);
    });
    progress.end();
    if (json) print(JSON.stringify(result, null, 2));
    else for (const line of pruneLines(result)) print(toPlain(line));
    if (!result.isStopped) return;
    printNote("Stopped. What was removed is archived; the same command continues.");
    process.exitCode = 1;
  } finally {
    progress.end();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}

function pruneLines({ before, isDryRun, models, audit }: PruneResult): string[] {
  const total = models.reduce((sum, { decisions }) => sum + decisions, 0);
  const verb = isDryRun ? "Would remove" : "Removed";
  return [
    `${verb} what is older than ${formatInstant(before)}: ${formatCount(total)} decisions`,
    ...models.flatMap(({ model, decisions, events, checks, keptFrom }) => [
      `${model}: ${formatCount(decisions)} decisions, ${formatCount(events)} events, ${formatCount(checks)} checks`,
      ...(keptFrom === null
        ? []
        : [`   kept from #${keptFrom.decisionId} on: ${KEPT_BECAUSE[keptFrom.because]}`]),
    ]),
    `audit: ${formatCount(audit)} entries`,
  ];
}
