import type { Redis } from "ioredis";

/** Everything that Redis holds below a prefix, as one text. */
export async function dumpRedis(redis: Redis, prefix: string): Promise<string> {
  const parts = await Promise.all((await redis.keys(`${prefix}:*`)).map((key) => dumpKey(redis, key)));
  return parts.join("\n");
}

async function dumpKey(redis: Redis, key: string): Promise<string> {
  const type = await redis.type(key);
  const command = { hash: "HGETALL", string: "GET", stream: "XRANGE", list: "LRANGE", zset: "ZRANGE" }[type];
  const range = { stream: ["-", "+"], list: ["0", "-1"], zset: ["0", "-1"] }[type] ?? [];
  return command === undefined ? key : `${key} ${JSON.stringify(await redis.call(command, key, ...range))}`;
}

/** Everything that Retrigger's own tables hold, as one text. */
export async function dumpTables(sql: (text: string) => Promise<unknown[]>): Promise<string> {
  const tables = ["retraining_decisions", "retraining_dispatches", "retraining_events"];
  return JSON.stringify(await Promise.all(tables.map((table) => sql(`SELECT * FROM ${table}`))));
}
