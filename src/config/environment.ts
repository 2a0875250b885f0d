import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { SETTING_NAMES } from "./settings.ts";

/** The names of the variables that only `.env` sets. A symbol, so that it is no variable itself and survives a spread. */
export const FROM_DOT_ENV: unique symbol = Symbol("from .env");

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>> & {
  readonly [FROM_DOT_ENV]?: ReadonlySet<string>;
};

/**
 * Returns the environment, extended by `.env` in the working directory. The environment itself wins, also with an empty
 * variable, which means that the setting is not set. With NODE_ENV=test, `.env` is ignored.
 */
export function loadEnvironment(): Record<string, string | undefined> & Environment {
  const isRead = process.env["NODE_ENV"] !== "test" && existsSync(".env");
  const dotEnv = isRead ? parseEnv(readFileSync(".env", "utf8")) : {};
  const own = new Set(Object.keys(dotEnv).filter((name) => process.env[name] === undefined));
  return { ...dropEmptySettings({ ...dotEnv, ...process.env }), [FROM_DOT_ENV]: own };
}

/** Leaves out the settings that are empty, as docker compose passes a variable that is not set. */
export function dropEmptySettings(env: Environment): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name, value]) => !SETTING_NAMES.includes(name) || value?.trim() !== ""),
  );
}
