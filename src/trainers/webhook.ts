import { z } from "zod";
import type { Training } from "../core/dispatch/dispatch.ts";
import { HttpRequest, type TrainingOrder } from "../core/dispatch/request.ts";
import { PermanentError } from "../core/errors.ts";
import { ok } from "../core/finding.ts";
import { parseJson } from "../core/parse.ts";
import type { Settings, ValuesOf } from "../core/setting.ts";
import { splitLogin } from "../outgoing/login.ts";
import { explainNetworkFailure } from "../outgoing/network-failure.ts";
import { SIGNATURE_HEADER, signBody } from "../outgoing/signature.ts";
import { readWait } from "../outgoing/wait.ts";
import type { Redact } from "../process/redact.ts";
import { openUrl, secret, serverUrl } from "../settings/forms.ts";
import {
  type Answer,
  type FollowedTraining,
  type News,
  type Trainer,
  type TrainerDefinition,
  TrainerUnavailable,
} from "./trainer.ts";

const ASK_LIMIT_MS = 30_000;
const LOOK_LIMIT_MS = 15_000;
const MOST_ANSWER_BYTES = 64 * 1024;

/** The path to which a receiver sends the outcome of a training. */
export function outcomePath(key: string): string {
  return `/api/v1/trainings/${key}/outcome`;
}

const SETTINGS = {
  url: {
    variable: "TRAINER_URL",
    schema: serverUrl(["http", "https"]),
    required: "the URL that takes the request",
    meaning: "Where requests are posted.",
    secret: "login",
  },
  secret: {
    variable: "TRAINER_SECRET",
    schema: secret,
    required: "the secret that signs it",
    meaning: "Signs requests, and the outcomes that the receiver reports.",
    secret: "value",
  },
  publicUrl: {
    variable: "PUBLIC_URL",
    schema: openUrl,
    meaning: "Where the receiver reaches Retrigger; required unless `TRAINER_OUTCOME` says otherwise.",
    secret: "hidden",
  },
  outcome: {
    variable: "TRAINER_OUTCOME",
    schema: z.enum(["callback", "status_url", "accepted"]),
    default: "callback",
    meaning:
      "How the end of a training becomes known: `callback` (the receiver posts it to `PUBLIC_URL`), `status_url` (read from the URL that the receiver's response names), or `accepted` (never: an accepted request counts as done).",
  },
} as const satisfies Settings;

type WebhookSettings = ValuesOf<typeof SETTINGS>;

/**
 * Posts a signed CloudEvent 1.0 to a URL. The request is sent once; the receiver must treat a second one with the same
 * `Idempotency-Key` as the same request, because a person may resend it.
 */
export const webhookTrainer: TrainerDefinition<typeof SETTINGS> = {
  name: "webhook",
  meaning: "Posts a signed [CloudEvent](https://cloudevents.io) to a URL of your own.",
  settings: SETTINGS,
  findFaults: findMissingOutcome,
  create: ({ settings, redact }) => createWebhookTrainer(settings, redact),
};

/** Without a way to learn how a training ended, each would count as lost, and its alerts would train again and again. */
function findMissingOutcome(given: Readonly<Record<string, string | undefined>>): string[] {
  const outcome = given["TRAINER_OUTCOME"] ?? "callback";
  if (outcome !== "callback" || given["PUBLIC_URL"] !== undefined) return [];
  return [
    "PUBLIC_URL is not set: TRAINER=webhook needs a way to learn how a training ended. Set PUBLIC_URL, to which the receiver reports it; or TRAINER_OUTCOME=status_url if its responses name a status URL; or TRAINER_OUTCOME=accepted if an accepted request counts as done",
  ];
}

function createWebhookTrainer(settings: WebhookSettings, redact: Redact): Trainer {
  const { url, secret, publicUrl, outcome: outcomeFrom } = settings;
  return {
    name: "webhook",
    triggerWord: "trigger",
    renderRequest: (order) => renderWebhookRequest(settings, order),
    // Only a real request would show whether the receiver accepts one.
    preflight: async () => [
      ok(`webhook: requests go to ${new URL(url).origin}`),
      ok(`webhook: ${describeOutcomeSource(settings)}`),
    ],
    remote: {
      traits: {
        followsById: false,
        reportsOutcomes: outcomeFrom === "callback" && publicUrl !== undefined,
        runsHere: false,
      },

      async ask({ key, request }): Promise<Answer> {
        const http = HttpRequest.parse(request);
        const body = JSON.stringify(http.body);
        const login = splitLogin(url);
        try {
          const response = await fetch(login.url, {
            method: "POST",
            body,
            headers: { ...http.headers, ...login.headers, ...(await signBody(secret, body)) },
            // A redirected POST may arrive as a GET, and its signed body at another host.
            redirect: "manual",
            signal: AbortSignal.timeout(ASK_LIMIT_MS),
          });
          const answer = toAnswer(key, url, response, await readText(response), redact);
          const isDone = answer.outcome === "accepted" && outcomeFrom === "accepted";
          return isDone ? { ...answer, isDone } : answer;
        } catch (error) {
          const { isUnsent, message } = explainNetworkFailure(error);
          return {
            outcome: isUnsent ? "not_sent" : "lost",
            message: redact(`The receiver did not answer: ${message}`),
          };
        }
      },

      // A receiver cannot be searched by key; if it got the request, its callback says so.
      find: async (): Promise<Training[]> => [],

      identify(text) {
        if (outcomeFrom === "callback") return { externalId: text };
        if (outcomeFrom === "accepted") return { externalId: text, isDone: true };
        if (/^https?:\/\//.test(text) && URL.canParse(text)) return { externalId: text, statusUrl: text };
        throw new PermanentError(
          "BAD_INPUT",
          `run is "${text}": with TRAINER_OUTCOME=status_url it must be the URL at which the training's status can be read`,
        );
      },

      async follow({ statusUrl, etag }: FollowedTraining): Promise<News> {
        if (statusUrl === null) return { outcome: "nothing_to_ask" };
        // A row, or an answer, must not send us to any other server.
        if (!isSameOrigin(statusUrl, url))
          return { outcome: "gone", message: "The status URL is not on the server of TRAINER_URL" };
        const response = await look(statusUrl, etag, redact);
        if (response.status === 304) return { outcome: "unchanged" };
        const message = `The receiver answered ${response.status} when asked for the status`;
        if (response.status === 404 || response.status === 410) return { outcome: "gone", message };
        if (!response.ok)
          throw new TrainerUnavailable(message, readWait(Object.fromEntries(response.headers)));
        const parsed = Status.safeParse(parseJson(response.text));
        if (!parsed.success)
          throw new TrainerUnavailable(
            `The receiver's answer is not understood: ${z.prettifyError(parsed.error)}`,
            null,
          );
        return { outcome: "seen", ...toStatus(parsed.data), etag: response.headers.get("etag") };
      },
    },
  };
}

/** How the outcome of a training becomes known, for `doctor`. */
function describeOutcomeSource({ outcome, publicUrl }: WebhookSettings): string {
  switch (outcome) {
    case "callback":
      return `the receiver reports outcomes to ${publicUrl}/api/v1/trainings/...`;
    case "status_url":
      return "outcomes are read from the status URL that the receiver's answer names";
    case "accepted":
      return "an accepted request counts as a finished training; its outcome is never known";
    default:
      return outcome satisfies never;
  }
}

const webUrl = z.url({ protocol: /^https?$/ });

/** A training's status as a receiver reports it, in responses and in callbacks, in GitHub's vocabulary. */
export const Outcome = z.object({
  status: z.string().min(1).max(100).default("completed"),
  conclusion: z.string().min(1).max(100).nullish(),
  url: webUrl.max(2_000).nullish(),
  duration_seconds: z.number().nonnegative().nullish(),
});
export type Outcome = z.infer<typeof Outcome>;

/** In an answer the status must be there: what says nothing about it is no end. */
const Status = Outcome.extend({ status: z.string().min(1).max(100) });

function isSameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}

export function toStatus({ status, conclusion, url, duration_seconds: durationSeconds }: Outcome) {
  return {
    status,
    conclusion: conclusion ?? null,
    attempt: null,
    url: url ?? null,
    durationSeconds: durationSeconds ?? null,
  };
}

/** CloudEvents 1.0, structured JSON: the whole event is the body, so that one signature covers it. */
function renderWebhookRequest(
  { url, publicUrl, outcome }: WebhookSettings,
  order: TrainingOrder,
): HttpRequest {
  return {
    kind: "http",
    method: "POST",
    url: shownUrl(url),
    headers: {
      "Content-Type": "application/cloudevents+json; charset=utf-8",
      "Idempotency-Key": order.runId,
      [SIGNATURE_HEADER]: "sha256=HMAC(TRAINER_SECRET)",
    },
    body: {
      specversion: "1.0",
      id: order.runId,
      source: "/retrigger",
      type: "retrigger.training.requested",
      subject: order.model,
      datacontenttype: "application/json",
      data: {
        reason: order.reason,
        drift_score: order.driftScore,
        buffer_size: order.bufferSize,
        decision_id: order.runId,
        model: order.model,
        ...(publicUrl === undefined || outcome !== "callback"
          ? {}
          : { outcome_url: `${publicUrl}${outcomePath(order.runId)}` }),
      },
    },
  };
}

/** The URL without its login and query, either of which may hold a secret. */
function shownUrl(text: string): string {
  const { origin, pathname } = new URL(text);
  return `${origin}${pathname}`;
}

const Accepted = z.object({
  id: z.union([z.string(), z.number()]).transform(String).optional(),
  url: webUrl.optional().catch(undefined),
  status_url: webUrl.optional().catch(undefined),
  statusUrl: webUrl.optional().catch(undefined),
});

function toAnswer(key: string, trainerUrl: string, response: Response, text: string, redact: Redact): Answer {
  const { status, headers } = response;
  const message = redact(`The receiver answered ${status}: ${text.slice(0, 300)}`);
  if (response.ok) {
    const { id, url, status_url: named, statusUrl: alsoNamed } = Accepted.catch({}).parse(parseJson(text));
    const found = named ?? alsoNamed ?? locationOf(response);
    const statusUrl = found !== null && isSameOrigin(found, trainerUrl) ? found : null;
    if (id === undefined && url === undefined && statusUrl === null)
      return { outcome: "accepted", training: null };
    return { outcome: "accepted", training: { externalId: id ?? key, url: url ?? null, statusUrl } };
  }
  if (status === 429)
    return { outcome: "rate_limited", message, waitMs: readWait(Object.fromEntries(headers)) };
  if (status >= 500 || status === 408) return { outcome: "lost", message };
  return {
    outcome: "rejected",
    message: `${message}\nCorrect the receiver, or TRAINER_URL and TRAINER_SECRET`,
  };
}

/** The status URL that a response of 201 or 202 names in its Location header. */
function locationOf({ headers, url }: Response): string | null {
  const location = headers.get("location");
  return location !== null && URL.canParse(location, url) ? new URL(location, url).href : null;
}

async function look(url: string, etag: string | null, redact: Redact) {
  try {
    const login = splitLogin(url);
    const response = await fetch(login.url, {
      headers: {
        accept: "application/json",
        ...login.headers,
        ...(etag === null ? {} : { "if-none-match": etag }),
      },
      // Elsewhere, the answer of another server would pass for the receiver's.
      redirect: "manual",
      signal: AbortSignal.timeout(LOOK_LIMIT_MS),
    });
    const { status, ok: isOk, headers } = response;
    return { status, ok: isOk, headers, text: await readText(response) };
  } catch (error) {
    const { message } = explainNetworkFailure(error);
    throw new TrainerUnavailable(redact(`The receiver did not answer: ${message}`), null, { cause: error });
  }
}

/** The body, cut off if it is longer than any answer needs to be. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MOST_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}
