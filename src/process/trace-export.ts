import { SpanKind } from "@opentelemetry/api";
import { setGlobalErrorHandler } from "@opentelemetry/core";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { BullMQOtel } from "bullmq-otel";
import { messageOf } from "../core/errors.ts";
import { decodeLeniently } from "./encodings.ts";
import { isSettledWithin } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import { createRedactor } from "./redact.ts";

/** A collector that is away must not delay the end of the process. */
const STOP_LIMIT_MS = 2_000;

/** BullMQ attaches the result of each job, which carries the evidence. */
const LONGEST_ATTRIBUTE = 1_024;

/**
 * Starts to export traces as the variables `OTEL_*` say, which OpenTelemetry reads itself. Returns null for a protocol that is
 * not supported.
 */
export function startExport(log: Logger) {
  const exporter = createExporter(log);
  if (exporter === null) return null;
  logFirstFailure(log);
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": "retrigger" }).merge(
      detectResources({ detectors: [envDetector] }),
    ),
    spanLimits: { attributeValueLengthLimit: LONGEST_ATTRIBUTE },
    spanProcessors: [withoutHousekeeping(new BatchSpanProcessor(exporter))],
  });
  provider.register();
  return {
    telemetry: new BullMQOtel({ tracerName: "retrigger" }),
    stop: async () =>
      void (await isSettledWithin(
        provider.shutdown().catch(() => {}),
        STOP_LIMIT_MS,
      )),
  };
}

function createExporter(log: Logger): SpanExporter | null {
  const variables = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
  const variable = variables.find((name) => process.env[name]);
  const protocol = variable === undefined ? "http/protobuf" : process.env[variable];
  switch (protocol) {
    case "http/protobuf":
      return new ProtobufExporter();
    case "http/json":
      return new JsonExporter();
    default:
      log.warn(
        `${variable}=${protocol} is not supported, so there are no traces. Use http/protobuf or http/json, usually on port 4318`,
      );
      return null;
  }
}

/** What the exporter sends with each request, such as a token, by variable. */
function collectSecretHeaders(): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const variable of ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
    for (const header of (process.env[variable] ?? "").split(",")) {
      const value = decodeLeniently(header.slice(header.indexOf("=") + 1).trim());
      // "Bearer token"
      for (const part of [value, ...value.split(" ").slice(1)])
        secrets.set(secrets.has(variable) ? `${variable} (${secrets.size})` : variable, part);
    }
  return secrets;
}

/** Failures of the export are no reason to log more than once, and never a reason to fail. */
function logFirstFailure(log: Logger): void {
  const redact = createRedactor(collectSecretHeaders());
  let isLogged = false;
  setGlobalErrorHandler((error) => {
    if (isLogged) return;
    isLogged = true;
    log.warn(
      { err: redact(typeof error === "string" ? error : messageOf(error)) },
      "traces could not be delivered, and some are lost: see OTEL_EXPORTER_OTLP_ENDPOINT. Logged once",
    );
  });
}

/** Leaves out what BullMQ does by itself, each time as a trace of its own: polls, renewals of locks, checks for stalled jobs. */
function withoutHousekeeping(processor: SpanProcessor): SpanProcessor {
  const isHousekeeping = ({ kind, parentSpanContext }: ReadableSpan): boolean =>
    kind === SpanKind.INTERNAL && parentSpanContext === undefined;
  return {
    onStart: (span, context) => processor.onStart(span, context),
    onEnd(span) {
      if (!isHousekeeping(span)) processor.onEnd(span);
    },
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
  };
}
