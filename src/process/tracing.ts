import type { Telemetry } from "bullmq";
import type { Logger } from "./logger.ts";

/** Traces of this process, on their way to a collector. */
interface Tracing {
  telemetry: Telemetry;
  /** Sends what is left, for a limited time. Never rejects. */
  stop(): Promise<void>;
}

/**
 * Starts OpenTelemetry if OTEL_EXPORTER_OTLP_ENDPOINT is set; null otherwise, and then nothing of it is loaded.
 *
 * @param environment With the variables of `.env`, which OpenTelemetry would not find by itself.
 */
export async function startTracing(
  environment: Readonly<Record<string, string | undefined>>,
  log: Logger,
): Promise<Tracing | null> {
  const isConfigured = isSet(environment["OTEL_EXPORTER_OTLP_ENDPOINT"]);
  if (!isConfigured || environment["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return null;
  for (const [name, value] of Object.entries(environment))
    if (name.startsWith("OTEL_") && value !== undefined) process.env[name] ??= value;
  const { startExport } = await import("./trace-export.ts");
  return startExport(log);
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value.trim() !== "";
}
