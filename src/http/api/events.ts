import { z } from "zod";
import { DriftMonitoringCompleted, IsoTime, ModelName, PlainText } from "../../../queues/jobs.ts";
import { findRepeated, ReportedCheck } from "../../../queues/reports.ts";
import { createRunId } from "../../../queues/run-id.ts";
import { findModel } from "../../config/find-model.ts";
import { INBOX_JOBS } from "../../../queues/names.ts";
import { parseInput } from "../../core/parse.ts";
import { RequestError } from "../request-error.ts";
import { parseDocument } from "../../detectors/document.ts";
import { DETECTORS } from "../../detectors/registry.ts";
import { sendEvent } from "../../use-cases/send-event.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { toCloudEventBody } from "./cloud-events.ts";
import { addressOf } from "./requests.ts";

const MAX_EVENTS = 100;

const Checks = z.array(ReportedCheck).min(1).max(1_000);

/** What became of an event. */
const Accepted = z.object({
  outcome: z.enum(["accepted", "duplicate"]),
  runId: z.string(),
  model: z.string(),
  /** Its job on the inbox; null for a duplicate that needs none. */
  jobId: z.string().nullable(),
  /** How many of its checks are new. */
  savedChecks: z.int(),
  /** Where to look for what becomes of it; null without a job. */
  status: z.string().nullable(),
});

/** What became of a detector's report. */
const Detected = Accepted.extend({
  checks: z.int(),
  alerts: z.int(),
  /** What else the report contained, in words. */
  ignored: z.array(z.string()),
});

/** Our event, with the checks of its run for a model with `checks: reported`. */
const EventBody = z.looseObject({
  runId: PlainText,
  model: ModelName.optional(),
  checks: Checks.optional(),
});

/** A CloudEvent 1.0 in structured mode: its `data` is our event; `id`, `source` and `time` stand in for what it leaves out. */
const CloudEvent = z.looseObject({
  specversion: z.literal("1.0"),
  type: z.literal(INBOX_JOBS.event),
  id: PlainText,
  source: PlainText,
  time: z.string().optional(),
  data: z.looseObject({}).optional(),
});

// For the documentation: the parser names the faults of each form better than a union could.
const OneEvent = z.union([CloudEvent, EventBody]);
const EventsBody = z.union([
  OneEvent,
  z.array(OneEvent).min(1).max(MAX_EVENTS),
]) as z.ZodType as z.ZodType<ParsedEvents>;

interface ParsedEvent {
  event: DriftMonitoringCompleted;
  checks: ReportedCheck[] | null;
}

interface ParsedEvents {
  isList: boolean;
  events: ParsedEvent[];
}

/** A list grows by a detector's line in its registry. */
const detectorOperations = DETECTORS.map((detector) =>
  operation({
    method: "POST",
    path: `/events/${detector.name}`,
    role: "emit",
    summary: `Report the checks of a drift run as ${detector.title} writes them`,
    description: `Understood: ${detector.versions}. See docs/detectors.md.`,
    query: z.strictObject({
      model: ModelName.default("default"),
      runId: PlainText.optional(),
      source: PlainText.default(detector.name),
      status: z.enum(["success", "failed"]).default("success"),
      completedAt: IsoTime.optional(),
    }),
    body: z.unknown(),
    bodyAs: "text",
    bodyLimit: "10mb",
    requires: ["postgres", "redis writes"],
    responses: {
      202: { description: "Accepted", schema: Detected },
      200: { description: "The run was known", schema: Detected },
    },
    async handle({ query: { model, source, ...query }, body }, dependencies) {
      findModel(dependencies.live.models(), model);
      const document = typeof body === "string" ? parseDocument(body) : undefined;
      if (document === undefined)
        throw new RequestError(
          400,
          `The body is no JSON: expected a report of ${detector.title}`,
          "BAD_INPUT",
        );
      const { checks, ignored } = detector.parse(document);
      const runId = query.runId ?? `${detector.name}-${createRunId()}`;
      const { status, completedAt = new Date().toISOString() } = query;
      const event = { runId, model, source, status, completedAt };
      const { jobId, ...sent } = await sendEvent(dependencies, event, { checks, runId });
      const alerts = checks.filter(({ triggered }) => triggered).length;
      const address = statusOf(jobId);
      const report = { checks: checks.length, alerts, ignored };
      return {
        status: sent.outcome === "accepted" ? 202 : 200,
        body: { ...sent, runId, model, jobId, status: address, ...report },
      };
    },
  }),
);

const statusOf = (jobId: string | null): string | null => (jobId === null ? null : addressOf(jobId));

export const eventOperations: readonly AnyOperation[] = [
  operation({
    method: "POST",
    path: "/events",
    role: "emit",
    summary: "Report that a drift run has ended",
    description:
      "Takes one event or a list of them, as our own JSON or as CloudEvents 1.0 (structured, batched or binary). The same model and runId twice are one event. With checks, both are saved together.",
    body: EventsBody,
    bodyTypes: ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"],
    requires: ["postgres", "redis writes"],
    responses: {
      202: {
        description: "Accepted: at least one event is new",
        schema: z.union([Accepted, z.array(Accepted)]),
      },
      200: { description: "Every event was known", schema: z.union([Accepted, z.array(Accepted)]) },
    },
    parse: (body, request) => {
      const given = toCloudEventBody(request, body);
      if (!Array.isArray(given)) return { isList: false, events: [parseEvent(given, "event")] };
      const events = parseInput(
        z.array(z.unknown()).min(1, "must not be empty").max(MAX_EVENTS),
        given,
        "list of events",
      );
      return { isList: true, events: events.map((one, index) => parseEvent(one, `event ${index}`)) };
    },
    async handle({ body: { isList, events: given } }, dependencies) {
      // All events of a list are checked before the first is sent.
      const events = given.map((each) => {
        const { model = "default" } = each.event;
        findModel(dependencies.live.models(), model);
        return { ...each, model };
      });
      const results: z.infer<typeof Accepted>[] = [];
      for (const { event, model, checks } of events) {
        const { jobId, ...sent } = await sendEvent(
          dependencies,
          { ...event, model },
          checks && { checks, runId: event.runId },
        );
        results.push({ ...sent, runId: event.runId, model, jobId, status: statusOf(jobId) });
      }
      const isNew = results.some(({ outcome }) => outcome === "accepted");
      return { status: isNew ? 202 : 200, body: isList ? results : results[0] };
    },
  }),
  ...detectorOperations,
];

/** @throws PermanentError that names each faulty field. */
function parseEvent(body: unknown, what: string): ParsedEvent {
  const given =
    typeof body === "object" && body !== null && "specversion" in body
      ? fromCloudEvent(parseInput(CloudEvent, body, what))
      : parseInput(z.looseObject({}, "must be an object"), body, what);
  const { checks, ...rest } = given;
  const event = parseInput(DriftMonitoringCompleted, rest, what);
  const list = checks === undefined ? null : parseInput(Checks, checks, `checks of the ${what}`);
  const [twice] = findRepeated(list ?? []);
  if (twice)
    throw new RequestError(
      400,
      `checks: ${JSON.stringify(twice.feature)} occurs twice: a run has one check of each feature`,
      "BAD_INPUT",
    );
  return { event, checks: list };
}

function fromCloudEvent({
  id,
  source,
  time,
  data = {},
}: z.infer<typeof CloudEvent>): Record<string, unknown> {
  return { runId: id, source, ...(time === undefined ? {} : { completedAt: time }), ...data };
}
