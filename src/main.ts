import { once } from "node:events";
import { buildApp } from "./app.ts";
import { parseConfig } from "./config/config.ts";
import { loadEnvironment } from "./config/environment.ts";
import { messageOf } from "./core/errors.ts";
import { createLogger } from "./process/logger.ts";
import { createRedactor } from "./process/redact.ts";
import { runUntilSignal } from "./process/signals.ts";

/** The service: `npm start`. */
async function main(): Promise<void> {
  const config = parseConfig(loadEnvironment());
  const log = createLogger(config.logLevel, createRedactor(config.secrets));
  for (const note of config.notes) log.warn({ note }, "the YAML file overrides a variable");
  const app = buildApp(config, log);
  await runUntilSignal({
    // A start that waits for a server must not delay a shutdown.
    start: (signal) => Promise.race([app.start(signal), once(signal, "abort")]),
    stop: app.stop,
    log,
  });
  // A connection that cannot be closed, because its server is away, must not keep the process alive.
  process.exit();
}

main().catch((error: unknown) => {
  console.error(messageOf(error));
  process.exitCode = 1;
});
