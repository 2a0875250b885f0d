import { z } from "zod";
import type { Training } from "../../core/dispatch/dispatch.ts";
import { HttpRequest } from "../../core/dispatch/request.ts";
import { PermanentError } from "../../core/errors.ts";
import { ok } from "../../core/finding.ts";
import { parseJson } from "../../core/parse.ts";
import { splitLogin } from "../../outgoing/login.ts";
import { explainNetworkFailure } from "../../outgoing/network-failure.ts";
import { signBody } from "../../outgoing/signature.ts";
import { readWait } from "../../outgoing/wait.ts";
import type { Redact } from "../../process/redact.ts";
import {
  type PolledTraining,
  type PollResult,
  type RequestResult,
  type Trainer,
  TrainerUnavailable,
} from "../trainer.ts";
import { fetchStatus, readText } from "./http.ts";
import { Status, toStatus, webUrl } from "./outcome.ts";
import { renderWebhookRequest } from "./request.ts";
import type { WebhookSettings } from "./settings.ts";

const REQUEST_TIMEOUT_MS = 30_000;

export function createWebhookTrainer(settings: WebhookSettings, redact: Redact): Trainer {
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

      async request({ key, request }): Promise<RequestResult> {
        const http = HttpRequest.parse(request);
        const body = JSON.stringify(http.body);
        const login = splitLogin(url);
        try {
          const response = await fetch(login.url, {
            method: "POST",
            body,
            headers: { ...http.headers, ...login.headers, ...(await signBody(secret, body)) },
            // A redirect may turn the POST into a GET, or send the signed body to another host.
            redirect: "manual",
            signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
          });
          const result = toResult(key, url, response, await readText(response), redact);
          const isDone = result.outcome === "accepted" && outcomeFrom === "accepted";
          return isDone ? { ...result, isDone } : result;
        } catch (error) {
          const { isUnsent, message } = explainNetworkFailure(error);
          return {
            outcome: isUnsent ? "not_sent" : "lost",
            message: redact(`No response from the receiver: ${message}`),
          };
        }
      },

      // A receiver cannot be searched by key; if it received the request, its callback will show that.
      search: async (): Promise<Training[]> => [],

      identify(text) {
        if (outcomeFrom === "callback") return { externalId: text };
        if (outcomeFrom === "accepted") return { externalId: text, isDone: true };
        if (/^https?:\/\//.test(text) && URL.canParse(text)) return { externalId: text, statusUrl: text };
        throw new PermanentError(
          "BAD_INPUT",
          `run is "${text}": with TRAINER_OUTCOME=status_url it must be the URL at which the training's status can be read`,
        );
      },

      async poll({ statusUrl, etag }: PolledTraining): Promise<PollResult> {
        if (statusUrl === null) return { outcome: "not_pollable" };
        // Neither a row nor a response may direct us to another server.
        if (!isSameOrigin(statusUrl, url))
          return { outcome: "gone", message: "The status URL is not on the server of TRAINER_URL" };
        const response = await fetchStatus(statusUrl, etag, redact);
        if (response.status === 304) return { outcome: "unchanged" };
        const message = `The receiver returned ${response.status} for the status URL`;
        if (response.status === 404 || response.status === 410) return { outcome: "gone", message };
        if (!response.ok)
          throw new TrainerUnavailable(message, readWait(Object.fromEntries(response.headers)));
        const parsed = Status.safeParse(parseJson(response.text));
        if (!parsed.success)
          throw new TrainerUnavailable(
            `Cannot parse the receiver's response: ${z.prettifyError(parsed.error)}`,
            null,
          );
        return { outcome: "seen", ...toStatus(parsed.data), etag: response.headers.get("etag") };
      },
    },
  };
}

/** How Retrigger learns the outcome of a training, for `doctor`. */
function describeOutcomeSource({ outcome, publicUrl }: WebhookSettings): string {
  switch (outcome) {
    case "callback":
      return `the receiver reports outcomes to ${publicUrl}/api/v1/trainings/...`;
    case "status_url":
      return "outcomes are polled at the status URL in the receiver's response";
    case "accepted":
      return "an accepted request counts as a successful training; its outcome is never known";
    default:
      return outcome satisfies never;
  }
}

function isSameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}

function toResult(
  key: string,
  trainerUrl: string,
  response: Response,
  text: string,
  redact: Redact,
): RequestResult {
  const { status, headers } = response;
  const message = redact(`The receiver returned ${status}: ${text.slice(0, 300)}`);
  if (response.ok) {
    const {
      id,
      url,
      status_url: snakeCase,
      statusUrl: camelCase,
    } = Accepted.catch({}).parse(parseJson(text));
    const found = snakeCase ?? camelCase ?? locationOf(response);
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
    message: `${message}\nFix the receiver, or correct TRAINER_URL and TRAINER_SECRET`,
  };
}

/** The status URL in the Location header of a response. */
function locationOf({ headers, url }: Response): string | null {
  const location = headers.get("location");
  return location !== null && URL.canParse(location, url) ? new URL(location, url).href : null;
}

const Accepted = z.object({
  id: z.union([z.string(), z.number()]).transform(String).optional(),
  url: webUrl.optional().catch(undefined),
  status_url: webUrl.optional().catch(undefined),
  statusUrl: webUrl.optional().catch(undefined),
});
