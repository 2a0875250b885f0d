import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";

/** The environment, with what `.env` in the working directory adds to it. The environment itself wins. */
export function loadSettings(): Record<string, string | undefined> {
  return existsSync(".env") ? { ...parseEnv(readFileSync(".env", "utf8")), ...process.env } : process.env;
}
