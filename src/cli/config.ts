import { Command } from "commander";
import { stringify } from "yaml";
import { type ConfigWithoutServers, parseConfigWithoutServers } from "../config/config.ts";
import { toConfigFile } from "../config/effective-config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { describeModels } from "../config/describe-models.ts";
import { renderJsonSchema } from "../config/json-schema.ts";
import { ConfigError } from "../core/errors.ts";
import { createRedactor } from "../process/redact.ts";
import { print, printNotes } from "./output.ts";

/** `retrigger config ...`: needs neither Postgres nor Redis. */
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
