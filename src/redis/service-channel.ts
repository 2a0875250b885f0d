import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { parseJson } from "../core/parse.ts";
import { isCluster, type RedisConnection } from "./target.ts";

/** Which process a service is: its role, machine and process id. Whoever may write to Redis could send lines of their own. */
const ServiceName = z.string().regex(/^\P{Cc}*$/u);

/** What a service says about a reload of its settings. */
export const ReloadReply = z.object({
  service: ServiceName,
  outcome: z.enum(["applied", "refused"]),
  /** What was applied, or every fault. */
  lines: z.array(z.string()),
});
export type ReloadReply = z.infer<typeof ReloadReply>;

/** Hashes of settings, by the names of variables, secrets and models. */
export const SettingsFingerprint = z.object({
  variables: z.record(z.string(), z.string()),
  secrets: z.record(z.string(), z.string()),
  models: z.record(z.string(), z.string()),
  /** Which database it is, whatever its address; null if that is not known. */
  database: z.string().nullable(),
});
export type SettingsFingerprint = z.infer<typeof SettingsFingerprint>;

/** Which settings a service runs with. */
export const Description = z.object({
  service: ServiceName,
  /** Whether it takes jobs. */
  hasWorkers: z.boolean(),
  /** When it read its settings. */
  since: z.iso.datetime(),
  fingerprint: SettingsFingerprint,
});
export type Description = z.infer<typeof Description>;

/** Requests that are broadcast to all services. The id of a request is random, and never used again. */
export interface ServiceAnswers {
  reload(): Promise<ReloadReply>;
  describe(id: string): Promise<Description>;
}
type Question = keyof ServiceAnswers;

/** Replies are kept this long for a client that may no longer read them. */
const REPLY_TTL_SECONDS = 60;
const POLL_MS = 50;

const channelOf = (prefix: string, question: Question): string => `${prefix}:${question}`;
const repliesOf = (prefix: string, question: Question, id: string): string =>
  `${prefix}:${question}-replies:${id}`;

/**
 * Answers requests that are broadcast to all services, until `redis` is disconnected.
 *
 * @param redis Used for nothing else: a connection that subscribes can do nothing else.
 * @param replies The connection for the replies.
 */
export async function answerRequests(
  { redis, replies, prefix }: { redis: RedisConnection; replies: RedisConnection; prefix: string },
  answers: ServiceAnswers,
): Promise<void> {
  const questions = Object.keys(answers) as Question[];
  redis.on("message", (channel: string, id: string) => {
    const question = questions.find((each) => channelOf(prefix, each) === channel);
    if (question === undefined) return;
    const key = repliesOf(prefix, question, id);
    void answers[question](id)
      .then((reply) =>
        replies.multi().rpush(key, JSON.stringify(reply)).expire(key, REPLY_TTL_SECONDS).exec(),
      )
      // Without a reply, the client says that this service did not answer.
      .catch(() => {});
  });
  await redis.subscribe(...questions.map((question) => channelOf(prefix, question)));
}

/** The replies that came within the limit, of so many services on the prefix. */
interface Replies<T> {
  services: number;
  replies: T[];
}

/** Asks every service on the prefix to reload its settings. */
export function requestReload(
  redis: RedisConnection,
  prefix: string,
  limitMs: number,
): Promise<Replies<ReloadReply>> {
  return ask(redis, prefix, { question: "reload", schema: ReloadReply, id: randomUUID(), limitMs });
}

/** Asks every service on the prefix which settings it runs with. @param id Random: what their hashes are salted with. */
export function requestDescriptions(
  redis: RedisConnection,
  prefix: string,
  { id, limitMs }: { id: string; limitMs: number },
): Promise<Replies<Description>> {
  return ask(redis, prefix, { question: "describe", schema: Description, id, limitMs });
}

async function ask<T>(
  redis: RedisConnection,
  prefix: string,
  {
    question,
    schema,
    id,
    limitMs,
  }: { question: Question; schema: z.ZodType<T>; id: string; limitMs: number },
): Promise<Replies<T>> {
  const services = await publish(redis, channelOf(prefix, question), id);
  const deadline = Date.now() + limitMs;
  for (; ; await pause(POLL_MS)) {
    // A reply may be there twice: a server that hung runs what its lost connections sent.
    const texts = [...new Set(await redis.lrange(repliesOf(prefix, question, id), 0, -1))];
    if (texts.length < services && Date.now() <= deadline) continue;
    // A service whose reply cannot be read, one of another version say, counts as silent.
    const replies = texts.flatMap((text) => schema.safeParse(parseJson(text)).data ?? []);
    return { services, replies };
  }
}

/** Publishes a message. Returns the number of its subscribers. */
async function publish(redis: RedisConnection, channel: string, message: string): Promise<number> {
  const subscribers = await redis.publish(channel, message);
  if (!isCluster(redis)) return subscribers;
  // It reaches the subscribers of all nodes, but counts only those of the node that it was sent to.
  const counts = await Promise.allSettled(redis.nodes().map((node) => node.pubsub("NUMSUB", channel)));
  return counts.reduce((sum, count) => sum + Number(count.status === "fulfilled" ? count.value[1] : 0), 0);
}
