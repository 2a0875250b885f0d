import { once } from "node:events";
import { buildApp } from "./app.ts";
import { type Config, parseConfig } from "./config/config.ts";
import { loadEnvironment } from "./config/environment.ts";
import { messageOf } from "./core/errors.ts";
import { createLogger } from "./process/logger.ts";
import { createGrowingRedactor } from "./process/redact.ts";
import { runUntilSignal } from "./process/signals.ts";
import { escapeControls } from "./process/terminal.ts";
import { startTracing } from "./process/tracing.ts";

/** The service: `npm start`. */
async function main(): Promise<void> {
  const environment = loadEnvironment();
  const readConfig = (): Config => parseConfig(environment);
  const config = readConfig();
  const redactor = createGrowingRedactor(config.secrets);
  const log = createLogger(config.logLevel, redactor.redact);
  for (const note of config.notes) log.warn({ note }, "the YAML file overrides a variable");
  const hasFile = environment["RETRIGGER_CONFIG"] !== undefined;
  const tracing = await startTracing(environment, log);
  const app = buildApp(config, log, {
    redactor,
    readConfig: hasFile ? readConfig : null,
    telemetry: tracing?.telemetry ?? null,
  });
  await runUntilSignal({
    // A start that waits for a server must not delay a shutdown.
    start: (signal) => Promise.race([app.start(signal), once(signal, "abort")]),
    async stop() {
      await app.stop();
      await tracing?.stop();
    },
    log,
    onHangup: () => void app.reload(),
  });
  // A connection that cannot be closed, because its server is away, must not keep the process alive.
  process.exit();
}

main().catch((error: unknown) => {
  console.error(escapeControls(messageOf(error)));
  process.exitCode = 1;
});
