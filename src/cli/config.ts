import { Command } from "commander";
import { stringify } from "yaml";
import { type ConfigWithoutServers, parseConfig, parseConfigWithoutServers } from "../config/config.ts";
import { toConfigFile } from "../config/effective-config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { describeModels } from "../config/describe-models.ts";
import { renderJsonSchema } from "../config/json-schema.ts";
import { ConfigError } from "../core/errors.ts";
import { createLogger } from "../process/logger.ts";
import { createRedactor } from "../process/redact.ts";
import { createServerState } from "../process/server-state.ts";
import { requireRedis } from "../redis/check.ts";
import { connectRedis } from "../redis/connection.ts";
import { requestReload } from "../redis/service-channel.ts";
import { print, printNotes } from "./output.ts";

/** `retrigger config ...`: needs neither Postgres nor Redis, except to reload. */
export function createConfig(): Command {
  const config = new Command("config").description(
    "check and show the settings and the file of RETRIGGER_CONFIG",
  );
  config
    .command("check")
    .description("print every fault of the settings, or a line for each model")
    .option("--json", "print faults, notes and models as one JSON object")
    .action(check);
  config
    .command("print")
    .description("print the settings in force as YAML, with all defaults")
    .option("-m, --model <name>", "only this model")
    .option("--json", "print them as JSON")
    .action(printEffective);
  config
    .command("schema")
    .description("print a JSON Schema of the file, for editors")
    .action(() => print(JSON.stringify(renderJsonSchema(), null, 2)));
  config
    .command("reload")
    .description("check the file, and make every running service read it again")
    .action(reload);
  return config;
}

function check({ json }: { json?: true }): void {
  const result = parse();
  if (result instanceof ConfigError) process.exitCode = 1;
  if (json) {
    const isFaulty = result instanceof ConfigError;
    const shown = {
      faults: isFaulty ? result.faults : [],
      notes: isFaulty ? [] : result.notes,
      models: isFaulty ? [] : [...result.models.keys()],
    };
    print(JSON.stringify(shown, null, 2));
  } else if (result instanceof ConfigError) {
    for (const fault of result.faults) print(`❌ ${fault}`);
    print(`${result.faults.length} fault(s)`);
  } else {
    for (const line of describeModels(result.models)) print(line);
    printNotes(result);
  }
}

function parse(): ConfigWithoutServers | ConfigError {
  try {
    return parseConfigWithoutServers(loadEnvironment());
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

function printEffective({ model, json }: { model?: string; json?: true }): void {
  const { models, secrets } = parseConfigWithoutServers(loadEnvironment());
  const shown = model === undefined ? models : new Map([[model, findModel(models, model)]]);
  const file = toConfigFile(shown);
  const text = json ? JSON.stringify(file, null, 2) : stringify(file, { aliasDuplicateObjects: false });
  print(createRedactor(secrets)(text).trimEnd());
}

/** Longer than a service waits for its own servers before it replies. */
const REPLY_LIMIT_MS = 10_000;

async function reload(): Promise<void> {
  // Nothing is sent if this fails.
  const config = parseConfig(loadEnvironment());
  await requireRedis(config);
  const redis = connectRedis(config, createServerState("Redis", createLogger("silent")), {
    failFast: false,
  });
  try {
    const { services, replies } = await requestReload(redis, config.redisPrefix, REPLY_LIMIT_MS);
    if (services === 0) print(`No service runs on ${config.redisPrefix}. Start one with: npm start`);
    for (const { service, outcome, lines } of replies)
      print(
        outcome === "applied"
          ? `✅ ${service}: ${lines.join("; ")}`
          : `❌ ${service}: refused, the old settings stay in force: ${lines.join("; ")}`,
      );
    const missing = services - replies.length;
    if (missing > 0) print(`❌ ${missing} service(s) did not reply within ${REPLY_LIMIT_MS / 1000} s`);
    const isDone = services > 0 && missing === 0 && replies.every(({ outcome }) => outcome === "applied");
    if (!isDone) process.exitCode = 1;
  } finally {
    redis.disconnect();
  }
}
