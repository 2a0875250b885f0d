import { type Notification, NotificationJob, type NotificationTarget } from "../queues/jobs.ts";
import type { NotificationSettings } from "../src/config/config.ts";
import { PermanentError, TransientError } from "../src/core/errors.ts";
import { parseInput } from "../src/core/parse.ts";
import { splitLogin } from "../src/outgoing/login.ts";
import { boardOf, pageOf } from "../src/outgoing/page-links.ts";
import { explainNetworkFailure } from "../src/outgoing/network-failure.ts";
import { describeRedirect } from "../src/outgoing/redirect.ts";
import { signBody } from "../src/outgoing/signature.ts";
import { readWait } from "../src/outgoing/wait.ts";
import type { Redact } from "../src/process/redact.ts";

const LIMIT_MS = 10_000;

/** The targets that the settings name. */
export function targetsOf({ slackUrl, webhookUrl }: NotificationSettings): NotificationTarget[] {
  return [
    ...(slackUrl === null ? [] : (["slack"] as const)),
    ...(webhookUrl === null ? [] : (["webhook"] as const)),
  ];
}

/** The receiver cannot take the notification now; `waitMs` is the wait that it requests, null if it gives none. */
export class ReceiverBusy extends TransientError {
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null) {
    super("RECEIVER_BUSY", message);
    this.waitMs = waitMs;
  }
}

/** Delivers one notification. @throws PermanentError if the receiver refuses it, ReceiverBusy if it may accept it later. */
export function createDelivery(
  settings: NotificationSettings & { publicUrl?: string | undefined },
  redact: Redact,
) {
  return async (data: unknown, jobId: string): Promise<{ status: number }> => {
    const { target, time, notification } = parseInput(NotificationJob, data, "notification");
    const url = { slack: settings.slackUrl, webhook: settings.webhookUrl }[target];
    if (url === null)
      throw new PermanentError("NO_TARGET", `The settings no longer name a URL for ${target}`);
    const page = findPage(settings.publicUrl, notification);
    const { headers, body } =
      target === "slack"
        ? { headers: {}, body: JSON.stringify({ text: toSlack(notification, page) }) }
        : renderEvent(settings, jobId, time, { ...notification, ...(page === null ? {} : { page }) });
    const response = await post(url, { "content-type": "application/json", ...headers }, body, redact);
    const { status } = response;
    if (response.ok) return { status };
    const redirect = describeRedirect(response, new URL(url));
    const message = `${target} responded with status ${status}${redirect === null ? "" : `: ${redact(redirect)}`}`;
    if (status === 429 || status === 408 || status >= 500)
      throw new ReceiverBusy(message, readWait(Object.fromEntries(response.headers)));
    throw new PermanentError(
      "RECEIVER_REFUSED",
      `${message}. Correct its URL in the settings, then retry the job in Bull Board`,
    );
  };
}

/** CloudEvents 1.0. The id is the job's, so that a receiver recognises a notification that arrives twice. */
function renderEvent(
  { webhookSecret }: NotificationSettings,
  id: string,
  time: string,
  { kind, ...data }: Notification & { page?: string },
) {
  const body = JSON.stringify({
    specversion: "1.0",
    id,
    source: "/retrigger",
    type: `retrigger.${kind}`,
    subject: data.model,
    time,
    datacontenttype: "application/json",
    data,
  });
  const headers = { "content-type": "application/cloudevents+json", "idempotency-key": id };
  return { body, headers: { ...headers, ...signBody(webhookSecret, body) } };
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  redact: Redact,
): Promise<Response> {
  const login = splitLogin(url);
  try {
    const response = await fetch(login.url, {
      method: "POST",
      headers: { ...headers, ...login.headers },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await response.body?.cancel();
    return response;
  } catch (error) {
    const { message } = explainNetworkFailure(error);
    throw new ReceiverBusy(redact(`no response: ${message}`), null);
  }
}

/** Of a failed job, the job, where it can be retried; else the decision or the model. */
function findPage(publicUrl: string | undefined, notification: Notification): string | null {
  const { job } = notification;
  if (publicUrl === undefined || job === undefined) return pageOf(publicUrl, notification);
  return boardOf({ publicUrl }, job.queue, job.id);
}

/** Without a page, the text says where to read on. */
function toSlack({ text, model, job }: Notification, page: string | null): string {
  const command = job ? "doctor --model" : "history --model";
  return escapeSlack(`${text}\n${page ?? `More: npx retrigger ${command} ${model}`}`);
}

/** Slack reads <!channel> and <https://...|text> as commands; a feature's name or a receiver's error must not contain any. */
function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
