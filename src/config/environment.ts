import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";

/**
 * The environment, with what `.env` in the working directory adds to it. The environment itself wins. A process under
 * test (NODE_ENV=test) goes by its environment alone.
 */
export function loadEnvironment(): Record<string, string | undefined> {
  return process.env["NODE_ENV"] !== "test" && existsSync(".env")
    ? { ...parseEnv(readFileSync(".env", "utf8")), ...process.env }
    : process.env;
}
