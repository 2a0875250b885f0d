import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { formatInstant, toPlain } from "../core/format.ts";
import type { AuditRow } from "../postgres/audit.ts";
import { withDatabase } from "./connections.ts";
import { parseBetween, print } from "./output.ts";

/** `retrigger audit` */
export function createAudit(): Command {
  return new Command("audit")
    .description("list who changed what, or was refused, newest first")
    .option("-n, --limit <count>", "how many", parseBetween(1, 1_000), 20)
    .option("--json", "print them as a JSON array")
    .action(async ({ limit, json }: { limit: number; json?: true }) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const rows = await withDatabase(config, (database) => database.listAudit({ limit, before: null }));
      if (json) print(JSON.stringify(rows, null, 2));
      else if (rows.length === 0) print("Nothing has been recorded yet.");
      else for (const row of rows) print(toPlain(describe(row)));
    });
}

function describe({
  at,
  actor,
  role,
  means,
  address,
  action,
  target,
  result,
  status,
  detail,
}: AuditRow): string {
  const who = `${actor} (${[role, means, address].filter((part) => part !== null).join(", ")})`;
  // An HTTP action names its route, of which the target is the path.
  const what = /^[A-Z]+ \//.test(action) ? action.split(" ")[0] : action;
  const outcome = [result ?? "not finished", status, detail].filter((part) => part !== null).join(" ");
  return `${formatInstant(at)} | ${who} | ${what} ${target} | ${outcome}`;
}
