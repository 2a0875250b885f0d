import { once } from "node:events";
import { Command, InvalidArgumentError } from "commander";
import { type App, buildApp } from "./app.ts";
import type { Config } from "./config/config.ts";
import { ConfigError, messageOf } from "./core/errors.ts";
import { chooseModel, playModels, playOnce, sendEvents } from "./demo/play.ts";
import { prepare, readSettings, type Say, type Settings } from "./demo/prepare.ts";
import { type ScenarioNumber, SCENARIOS } from "./embedded/sample-data.ts";
import { findFreePort, isPortFree } from "./embedded/server-process.ts";
import { createReleasers } from "./process/lifecycle.ts";
import { createLogger } from "./process/logger.ts";
import { runUntilSignal } from "./process/signals.ts";
import { escapeControls } from "./process/terminal.ts";
import { createClient } from "./use-cases/client.ts";

interface DemoOptions {
  once?: boolean;
  scenario: ScenarioNumber;
  config?: string;
}

const say: Say = (line = "") => console.log(escapeControls(line));

/** Runs the whole chain on one bare machine: `npm run demo`. */
async function demo({ once: isOnce = false, scenario, config: file }: DemoOptions): Promise<void> {
  const log = createLogger("silent");
  const releasers = createReleasers(log);
  const finished = new AbortController();
  await runUntilSignal({
    log,
    stop: releasers.releaseAll,
    endsBy: finished.signal,
    async start(signal) {
      const options = { scenario, file, isOnce };
      const settings = readSettings(options);
      const prepared = await prepare(settings, options, { onRelease: releasers.add, say });
      const { config: own } = prepared;
      // The user is waiting for the training to end, so poll more often than a service does.
      const config = { ...own, timing: { ...own.timing, pollMs: Math.min(own.timing.pollMs, 2_000) } };
      signal.throwIfAborted();
      const client = createClient(config, log);
      releasers.add("client", client.close);
      const model = file === undefined ? chooseModel(config.models) : null;
      // Sent before the service starts, which would evaluate some new models by itself.
      const events = await sendEvents(client, model === null ? config.models.keys() : [model]);
      const app = buildApp(
        { ...config, role: isOnce ? "worker" : "all", port: await choosePort(config, settings) },
        log,
      );
      releasers.add("app", app.stop);
      await app.start(signal);
      const playing =
        model === null
          ? playModels(client, events, config, { exports: prepared.exports, isOnce, say })
          : playOnce(client, events, say);
      await Promise.race([playing, once(signal, "abort")]);
      signal.throwIfAborted();
      if (isOnce) return finished.abort();
      sayPages(app, model, model === null ? {} : prepared.exports);
    },
  });
}

/**
 * @param model The one model of the demo's event; null if there were several.
 * @param servers The variables of the servers that the demo has started for its own models.
 */
function sayPages(app: App, model: string | null, servers: Readonly<Record<string, string>>): void {
  const address = app.address();
  const pages = [["All models", "/"], ...(model === null ? [] : [[model, `/models/${model}`]])] as const;
  const width = Math.max(...pages.map(([name]) => name.length));
  const lines = pages.map(([name, path]) => `${`${name}:`.padEnd(width + 2)} ${address}${path}`);
  const exports = [
    `export RETRIGGER_URL=${address}`,
    // For what works on the servers themselves, such as prune and doctor.
    ...Object.entries(servers).map(([name, value]) => `export ${name}='${value}'`),
  ];
  const others = exports.map((line) => `  ${line}`);
  say(`\nServing until Ctrl-C.\n\n${lines.join("\n")}\n\nIn another terminal:\n\n${others.join("\n")}`);
}

/** The port of the settings, or a free one if they name none and the default is taken. */
async function choosePort({ port, host }: Config, settings: Settings): Promise<number> {
  if (settings["PORT"] !== undefined) return port;
  return (await isPortFree(port, host)) ? port : findFreePort();
}

function parseScenario(text: string): ScenarioNumber {
  const number = Number(text);
  if (number in SCENARIOS) return number as ScenarioNumber;
  const known = Object.entries(SCENARIOS).map(([key, { title }]) => `${key} (${title})`);
  throw new InvalidArgumentError(`Must be one of ${known.join(", ")}.`);
}

await new Command("npm run demo --")
  .description("Run one drift event through the whole chain, on private servers.")
  .option("--once", "end after the report")
  .option(
    "--scenario <number>",
    "sample data: 1 trigger, 2 small buffer, 3 no drift, 4 no recent checks",
    parseScenario,
    1,
  )
  .option("--config <file>", "decide about every model of this YAML file, such as retrigger.example.yaml")
  .action(demo)
  .parseAsync()
  .catch((error: unknown) => {
    console.error(
      escapeControls(error instanceof ConfigError ? error.message : `The demo failed: ${messageOf(error)}`),
    );
    process.exitCode = 1;
  });
// What an interrupted wait leaves behind must not keep the process.
process.exit();
