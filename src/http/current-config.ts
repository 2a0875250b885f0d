import type { Config } from "../config/config.ts";
import type { RouteDependencies } from "./route.ts";

/** The settings in force: those of the start, with the models that a reload may have brought. */
export function currentConfig({
  config,
  live,
  secrets,
}: Pick<RouteDependencies, "config" | "live" | "secrets">): Config {
  return { ...config, models: live.models(), secrets, notes: [] };
}
