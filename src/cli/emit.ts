import { Command } from "commander";
import { DriftMonitoringCompleted } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import { createRunId } from "../../queues/run-id.ts";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { parseInput } from "../core/parse.ts";
import { warnIfNoWorkerRuns, withClient } from "./connections.ts";
import { modelOption, print } from "./output.ts";

/** `retrigger emit` */
export function createEmit(): Command {
  return new Command("emit")
    .description("send a drift_monitoring.completed event, as a drift run would")
    .addOption(modelOption())
    .option("--run-id <id>", "the drift run's id; the same id twice is one event")
    .option("--status <status>", "success or failed", "success")
    .option("--completed-at <time>", "ISO 8601; the current time by default")
    .option("--source <name>", "the sender", "retrigger emit")
    .action(async ({ model, runId, status, completedAt, source }: Record<string, string | undefined>) => {
      const config = parseConfig(loadEnvironment());
      const event = parseInput(
        DriftMonitoringCompleted,
        {
          model,
          runId: runId ?? `emit-${createRunId()}`,
          status,
          completedAt: completedAt ?? new Date().toISOString(),
          source,
        },
        "event",
      );
      await withClient(config, event.model ?? "default", async (client) => {
        const jobId = await client.send(INBOX_JOBS.event, event);
        print(`Sent ${INBOX_JOBS.event} for ${event.model} as job ${jobId} (runId ${event.runId}).`);
        await warnIfNoWorkerRuns(client);
      });
    });
}
