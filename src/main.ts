import { buildApp } from "./app.ts";
import { loadSettings } from "./settings-file.ts";
import { parseConfig } from "./config.ts";
import { messageOf } from "./errors.ts";
import { createLogger } from "./logger.ts";
import { runUntilSignal } from "./signals.ts";

/** The service: `npm start`. */
async function main(): Promise<void> {
  const config = parseConfig(loadSettings());
  const log = createLogger(config.logLevel);
  const app = buildApp(config, log);
  await runUntilSignal({ start: (signal) => app.start(signal), stop: app.stop, log });
  // A connection that cannot be closed, because its server is away, must not keep the process.
  process.exit();
}

main().catch((error: unknown) => {
  console.error(messageOf(error));
  process.exitCode = 1;
});
