import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote } from "./output.ts";

/** `retrigger migrate` */
export function createMigrate(): Command {
  return new Command("migrate")
    .description("create or update Retrigger's tables; decisions of the Airflow DAG are kept")
    .action(async () => {
      const names = await withDatabase(parseConfigWithoutRedis(loadEnvironment()), (database) =>
        database.migrate({ onWait: printNote }),
      );
      print(names.length > 0 ? `Migrated: ${names.join(", ")}` : "The tables are up to date.");
    });
}
