import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";

/**
 * Returns the environment, extended by `.env` in the working directory. The environment itself wins. With NODE_ENV=test,
 * `.env` is ignored.
 */
export function loadEnvironment(): Record<string, string | undefined> {
  return process.env["NODE_ENV"] !== "test" && existsSync(".env")
    ? { ...parseEnv(readFileSync(".env", "utf8")), ...process.env }
    : process.env;
}
