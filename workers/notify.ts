import { UnrecoverableError, type Queue } from "bullmq";
import { type Notification, NotificationJob, type NotificationTarget } from "../queues/jobs.ts";
import { NOTIFICATION_OPTIONS } from "../queues/options.ts";
import type { NotificationSettings } from "../src/config/config.ts";
import { TransientError } from "../src/core/errors.ts";
import { parseInput } from "../src/core/parse.ts";
import type { Redact } from "../src/process/redact.ts";
import { splitLogin } from "../src/outgoing/login.ts";
import { explainNetworkFailure } from "../src/outgoing/network-failure.ts";
import { signBody } from "../src/outgoing/signature.ts";
import { readWait } from "../src/outgoing/wait.ts";

/** Tells people of something, once for each of its kind and run, wherever the settings say. */
export type Notify = (notification: Notification, distinction?: string) => Promise<void>;

const LIMIT_MS = 10_000;

/**
 * Puts notifications on their queue, one job for each target, so that neither waits for the other nor a decision for either.
 * `distinction` tells two of the same kind and run apart.
 */
export function createNotify(queue: Queue, { slackUrl, webhookUrl }: NotificationSettings): Notify {
  const targets: NotificationTarget[] = [
    ...(slackUrl === null ? [] : (["slack"] as const)),
    ...(webhookUrl === null ? [] : (["webhook"] as const)),
  ];
  return async (notification, distinction = "") => {
    const { kind, runId } = notification;
    const time = new Date().toISOString();
    for (const target of targets) {
      await queue.add(kind, { target, time, notification } satisfies NotificationJob, {
        ...NOTIFICATION_OPTIONS,
        jobId: `${target}-${kind}-${runId}${distinction}`,
      });
    }
  };
}

/** The receiver does not want to be asked again before this. */
export class ReceiverBusy extends TransientError {
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null) {
    super("RECEIVER_BUSY", message);
    this.waitMs = waitMs;
  }
}

/** Delivers one notification. A receiver that refuses it for good is not asked again. */
export function createDelivery(settings: NotificationSettings, redact: Redact) {
  return async (data: unknown, jobId: string): Promise<{ status: number }> => {
    const { target, time, notification } = parseInput(NotificationJob, data, "notification");
    const url = { slack: settings.slackUrl, webhook: settings.webhookUrl }[target];
    if (url === null) throw new UnrecoverableError(`The settings name no ${target} to tell any more`);
    const { headers, body } =
      target === "slack"
        ? { headers: {}, body: JSON.stringify({ text: escapeSlack(notification.text) }) }
        : await renderEvent(settings, jobId, time, notification);
    const response = await post(url, { "content-type": "application/json", ...headers }, body, redact);
    const { status } = response;
    if (response.ok) return { status };
    const message = `${target} answered ${status}`;
    if (status === 429 || status === 408 || status >= 500)
      throw new ReceiverBusy(message, readWait(Object.fromEntries(response.headers)));
    throw new UnrecoverableError(`${message}: correct its URL in the settings, then retry`);
  };
}

/** CloudEvents 1.0: the id is the job's, by which a receiver knows what it was told before. */
async function renderEvent(
  { webhookSecret }: NotificationSettings,
  id: string,
  time: string,
  { kind, ...data }: Notification,
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
  return { body, headers: { ...headers, ...(await signBody(webhookSecret, body)) } };
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
    throw new ReceiverBusy(redact(`no answer: ${message}`), null);
  }
}

/** Slack reads <!channel> and <https://...|text> as commands; a feature's name or a receiver's error must not give any. */
function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
