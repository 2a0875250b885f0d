import { z } from "zod";
import type { Training } from "../../core/dispatch/dispatch.ts";
import { HttpRequest } from "../../core/dispatch/request.ts";
import { PermanentError } from "../../core/errors.ts";
import { ok } from "../../core/finding.ts";
import { toPlain } from "../../core/format.ts";
import { parseJson } from "../../core/parse.ts";
import { splitLogin } from "../../outgoing/login.ts";
import { explainNetworkFailure } from "../../outgoing/network-failure.ts";
import { describeRedirect } from "../../outgoing/redirect.ts";
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
import { Outcome, toStatus, webUrl } from "./outcome.ts";
import { renderWebhookRequest } from "./request.ts";
import type { WebhookSettings } from "./settings.ts";

const REQUEST_TIMEOUT_MS = 30_000;

export function createWebhookTrainer(settings: WebhookSettings, redact: Redact): Trainer {
  const { url, secret, publicUrl, outcome: outcomeFrom } = settings;
  const login = splitLogin(url);
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
        try {
          const response = await fetch(login.url, {
            method: "POST",
            body,
            headers: { ...http.headers, ...login.headers, ...signBody(secret, body) },
            // A redirect may turn the POST into a GET, or send the signed body to another host.
            redirect: "manual",
            signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
          });
          const result = toResult(key, response, await readText(response), { url: login.url, redact });
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
        if (!webUrl.safeParse(text).success)
          throw new PermanentError(
            "BAD_INPUT",
            "With TRAINER_OUTCOME=status_url, run must be the URL at which the training's status can be read, without a user name or password",
          );
        const objection = objectTo(new URL(text), settings);
        if (objection !== null) throw new PermanentError("BAD_INPUT", objection);
        return { externalId: text, statusUrl: text };
      },

      async poll({ statusUrl, etag }: PolledTraining): Promise<PollResult> {
        if (statusUrl === null) return { outcome: "not_pollable" };
        // Neither a row nor a response may direct us to another server.
        const objection = URL.canParse(statusUrl)
          ? objectTo(new URL(statusUrl), settings)
          : "The status URL is not a valid URL";
        if (objection !== null) return { outcome: "gone", message: objection };
        const target = new URL(statusUrl);
        const isOwn = target.origin === login.url.origin;
        const response = await fetchStatus(target, { etag, login: isOwn ? login.headers : {}, redact });
        if (response.status === 304) return { outcome: "unchanged" };
        const redirect = response.redirect === null ? "" : `: ${redact(response.redirect)}`;
        const message = `The receiver returned ${response.status} for the status URL${redirect}`;
        if (response.status === 404 || response.status === 410) return { outcome: "gone", message };
        if (!response.ok)
          throw new TrainerUnavailable(message, readWait(Object.fromEntries(response.headers)));
        const parsed = Outcome.safeParse(parseJson(response.text));
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

/** Why a status URL must not be read; null if it may be. */
function objectTo(statusUrl: URL, { url, statusOrigins = [] }: WebhookSettings): string | null {
  if (statusUrl.username !== "" || statusUrl.password !== "")
    return "The status URL must not contain a user name or password";
  const { origin } = statusUrl;
  return origin === new URL(url).origin || statusOrigins.includes(origin)
    ? null
    : `The status URL is on ${origin}, which is not the server of TRAINER_URL. If it is yours, add it to TRAINER_STATUS_ORIGINS`;
}

/** A message is redacted before it is cut: of a secret that was cut first, a part would remain. */
const MESSAGE_LENGTH = 300;

function toResult(
  key: string,
  response: Response,
  text: string,
  { url: trainerUrl, redact }: { url: URL; redact: Redact },
): RequestResult {
  const { status, headers } = response;
  const redirect = describeRedirect(response, trainerUrl);
  const message = `The receiver returned ${status}: ${toPlain(redact(redirect ?? text)).slice(0, MESSAGE_LENGTH)}`;
  if (response.ok) return { outcome: "accepted", training: readTraining(key, response, text, redact) };
  if (status === 429)
    return { outcome: "rate_limited", message, waitMs: readWait(Object.fromEntries(headers)) };
  if (status >= 500 || status === 408) return { outcome: "lost", message };
  return {
    outcome: "rejected",
    message: `${message}\nFix the receiver, or correct TRAINER_URL and TRAINER_SECRET`,
  };
}

/** The training that an accepted request started; null if the response does not identify it. */
function readTraining(key: string, response: Response, text: string, redact: Redact): Training | null {
  const { id, url, status_url: snakeCase, statusUrl: camelCase } = Accepted.catch({}).parse(parseJson(text));
  const found = snakeCase ?? camelCase ?? locationOf(response);
  if (id === undefined && url === undefined && found === null) return null;
  const statusUrl = found === null ? null : withoutLogin(found);
  const externalId = id === undefined ? key : toPlain(redact(id)).slice(0, MESSAGE_LENGTH);
  // A redacted URL would lead nowhere.
  return { externalId, url: url !== undefined && redact(url) === url ? url : null, statusUrl };
}

/** A status URL is recorded, so it must not hold a password. */
function withoutLogin(text: string): string {
  const url = new URL(text);
  url.username = "";
  url.password = "";
  return url.href;
}

/** The status URL in the Location header of a response. */
function locationOf({ headers, url }: Response): string | null {
  const location = headers.get("location");
  return location !== null && URL.canParse(location, url) ? new URL(location, url).href : null;
}

const statusUrlText = z.url({ protocol: /^https?$/ }).max(2_000);

const Accepted = z.object({
  id: z.union([z.string(), z.number()]).transform(String).optional(),
  url: webUrl.optional().catch(undefined),
  status_url: statusUrlText.optional().catch(undefined),
  statusUrl: statusUrlText.optional().catch(undefined),
});
