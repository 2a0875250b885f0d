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

/** Made by our migrations alone; the DAG may have made retraining_decisions. */
const OWN_TABLES = ["retraining_dispatches", "retraining_events"];

/** Everything that Retrigger's tables hold, as one text. Fails if only some of them are there. */
export async function dumpTables(
  sql: (text: string, values?: unknown[]) => Promise<unknown[]>,
): Promise<string> {
  const found = await sql("SELECT FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL", [
    OWN_TABLES,
  ]);
  // Tests that never migrate have none.
  if (found.length === 0) return "";
  const tables = ["retraining_decisions", ...OWN_TABLES];
  return JSON.stringify(await Promise.all(tables.map((table) => sql(`SELECT * FROM ${table}`))));
}
