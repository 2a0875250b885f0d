import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { formatCount, formatScore, formatTime, toPlain } from "../core/format.ts";
import type { DecisionRow } from "../postgres/decision-log.ts";
import { withDatabase } from "./connections.ts";
import { parseBetween, print } from "./output.ts";
import { encode, orRemotely } from "./remote.ts";

/** `retrigger history` */
export function createHistory(): Command {
  const command = new Command("history")
    .description("list the latest decisions, newest first")
    .option("-m, --model <name>", "only this model")
    .option("-n, --limit <count>", "how many", parseBetween(1, 1_000), 20)
    .option("--json", "print them as a JSON array");
  return orRemotely(
    command,
    async ({ model, limit, json }: { model?: string; limit: number; json?: true }) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const rows = await withDatabase(config, (database) =>
        database.listDecisions({ model: model ?? null, limit }),
      );
      // A model that was removed from the settings keeps its decisions; a name without decisions may be a typo.
      if (rows.length === 0 && model !== undefined) findModel(config.models, model);
      printRows(rows, config.timeZone, json);
    },
    async (service, { model, limit, json }) => {
      const rows: DecisionRow[] = [];
      for (let cursor = ""; rows.length < limit;) {
        const size = Math.min(limit - rows.length, MAX_PAGE);
        const query = `limit=${size}${cursor}${model === undefined ? "" : `&model=${encode(model)}`}`;
        const page = await service.call("GET", `/decisions?${query}`);
        rows.push(...(page["decisions"] as DecisionRow[]));
        if (typeof page["nextCursor"] !== "string") break;
        cursor = `&cursor=${page["nextCursor"]}`;
      }
      printRows(rows, "UTC", json);
    },
  );
}

/** How many decisions one page of the API has at most. */
const MAX_PAGE = 500;

function printRows(rows: readonly DecisionRow[], timeZone: string, json?: true): void {
  if (json) print(JSON.stringify(rows, null, 2));
  else if (rows.length === 0) print("No decisions yet. Request one with: npx retrigger decide --wait");
  else for (const line of rows.flatMap((row) => historyLines(row, timeZone))) print(line);
}

function historyLines(row: DecisionRow, timeZone: string): string[] {
  const icon = row.decision?.startsWith("trigger") ? "🚨" : "✅";
  const buffer = row.bufferSize === null ? "N/A" : formatCount(row.bufferSize);
  const when = formatTime(row.decidedAt, timeZone);
  const lines = [
    `${icon} #${row.id} ${when} | ${row.model} | ${row.decision} | Buffer: ${buffer} | Drift: ${formatScore(row.driftScore)}`,
    `   ${(row.reason ?? "").replaceAll(",", ", ")}${row.dispatch === null ? "" : ` | dispatch: ${row.dispatch}`}${row.url === null ? "" : ` ${row.url}`}`,
  ];
  return lines.map(toPlain);
}
