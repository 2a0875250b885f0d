import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { parseJson } from "../core/parse.ts";
import type { RedisConnection } from "./target.ts";

/** What a service says about a reload of its settings. */
export const ReloadReply = z.object({
  /** Which process it is: its role, machine and process id. */
  service: z.string(),
  outcome: z.enum(["applied", "refused"]),
  /** What was applied, or every fault. */
  lines: z.array(z.string()),
});
export type ReloadReply = z.infer<typeof ReloadReply>;

/** Replies are kept this long for a client that may no longer read them. */
const REPLY_TTL_SECONDS = 60;
const POLL_MS = 50;

const channelOf = (prefix: string): string => `${prefix}:reload`;
const repliesOf = (prefix: string, id: string): string => `${prefix}:reload-replies:${id}`;

/**
 * Answers requests to reload the settings until `redis` is disconnected.
 *
 * @param redis Used for nothing else: a connection that subscribes can do nothing else.
 * @param replies The connection for the replies.
 */
export async function answerReloads(
  { redis, replies, prefix }: { redis: RedisConnection; replies: RedisConnection; prefix: string },
  reload: () => Promise<ReloadReply>,
): Promise<void> {
  redis.on("message", (_channel: string, id: string) => {
    const key = repliesOf(prefix, id);
    void reload()
      .then((reply) =>
        replies.multi().rpush(key, JSON.stringify(reply)).expire(key, REPLY_TTL_SECONDS).exec(),
      )
      // Without a reply, the client says that this service did not answer.
      .catch(() => {});
  });
  await redis.subscribe(channelOf(prefix));
}

/** Asks every service on the prefix to reload. Returns their number, and the replies that came within the limit. */
export async function requestReload(
  redis: RedisConnection,
  prefix: string,
  limitMs: number,
): Promise<{ services: number; replies: ReloadReply[] }> {
  const id = randomUUID();
  const services = await publish(redis, channelOf(prefix), id);
  const deadline = Date.now() + limitMs;
  for (; ; await pause(POLL_MS)) {
    const texts = await redis.lrange(repliesOf(prefix, id), 0, -1);
    if (texts.length >= services || Date.now() > deadline)
      return { services, replies: texts.map((text) => ReloadReply.parse(parseJson(text))) };
  }
}

/** Publishes a message. Returns the number of its subscribers. */
async function publish(redis: RedisConnection, channel: string, message: string): Promise<number> {
  const subscribers = await redis.publish(channel, message);
  if (!("nodes" in redis)) return subscribers;
  // It reaches the subscribers of all nodes, but counts only those of the node that it was sent to.
  const counts = await Promise.allSettled(redis.nodes().map((node) => node.pubsub("NUMSUB", channel)));
  return counts.reduce((sum, count) => sum + Number(count.status === "fulfilled" ? count.value[1] : 0), 0);
}
