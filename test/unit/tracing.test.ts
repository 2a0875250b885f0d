import { globalErrorHandler } from "@opentelemetry/core";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createLogger } from "../../src/process/logger.ts";
import { startTracing } from "../../src/process/tracing.ts";

const OWN = [
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  "OTEL_EXPORTER_OTLP_PROTOCOL",
  "OTEL_EXPORTER_OTLP_HEADERS",
  "OTEL_SDK_DISABLED",
];
const removeOwn = (): void => OWN.forEach((name) => delete process.env[name]);

let warnings: string[];
beforeEach(() => {
  warnings = [];
  removeOwn();
});
afterEach(removeOwn);

const start = (environment: Record<string, string>) => {
  const log = createLogger("silent");
  log.warn = (...parts: unknown[]) =>
    void warnings.push(...parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))));
  return startTracing(environment, log);
};
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };

it("does not trace without OTEL_EXPORTER_OTLP_ENDPOINT, or if OpenTelemetry is switched off", async () => {
  expect(await start({})).toBeNull();
  expect(await start({ OTEL_EXPORTER_OTLP_ENDPOINT: " " })).toBeNull();
  expect(await start({ ...endpoint, OTEL_SDK_DISABLED: "true" })).toBeNull();
  expect(warnings).toEqual([]);
});

it("warns about a protocol that is not supported, and does not trace", async () => {
  expect(await start({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" })).toBeNull();
  expect(warnings).toEqual([
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported, so there are no traces. Use http/protobuf or http/json, usually on port 4318",
  ]);
});

it("shows no header of the export, although the collector repeats it", async () => {
  const tracing = await start({
    ...endpoint,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20token-of-the-collector,x-key=key-of-the-collector",
  });
  globalErrorHandler(new Error("Unauthorized: token-of-the-collector, key-of-the-collector"));
  expect(warnings.join(" ")).toContain("Unauthorized");
  expect(warnings.join(" ")).not.toContain("of-the-collector");
  await tracing?.stop();
});
