import { z } from "zod";
import { DriftMonitoringCompleted, ModelName, PlainText } from "../../../queues/jobs.ts";
import { ReportedCheck } from "../../../queues/reports.ts";
import { findModel } from "../../config/find-model.ts";
import { INBOX_JOBS } from "../../../queues/names.ts";
import { parseInput } from "../../core/parse.ts";
import { RequestError } from "../request-error.ts";
import { sendEvent } from "../../use-cases/send-event.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { toCloudEventBody } from "./cloud-events.ts";

const MAX_EVENTS = 100;

const Checks = z.array(ReportedCheck).min(1).max(1_000);

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
        const { jobId, ...sent } = await sendEvent(dependencies, { ...event, model }, checks);
        const status = jobId === null ? null : `/api/v1/requests/${jobId}`;
        results.push({ ...sent, runId: event.runId, model, jobId, status });
      }
      const isNew = results.some(({ outcome }) => outcome === "accepted");
      return { status: isNew ? 202 : 200, body: isList ? results : results[0] };
    },
  }),
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
  const names = (list ?? []).map(({ feature }) => feature);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined)
    throw new RequestError(
      400,
      `checks: ${JSON.stringify(twice)} occurs twice: a run has one check of each feature`,
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
