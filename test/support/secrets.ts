import type { RedisConnection } from "../../src/redis/target.ts";
import { listKeys } from "./redis-keys.ts";

/** Returns everything that Redis holds under a prefix as one text. */
export async function dumpRedis(redis: RedisConnection, prefix: string): Promise<string> {
  const parts = await Promise.all((await listKeys(redis, `${prefix}:*`)).map((key) => dumpKey(redis, key)));
  return parts.join("\n");
}

async function dumpKey(redis: RedisConnection, key: string): Promise<string> {
  const type = await redis.type(key);
  const command = { hash: "HGETALL", string: "GET", stream: "XRANGE", list: "LRANGE", zset: "ZRANGE" }[type];
  const range = { stream: ["-", "+"], list: ["0", "-1"], zset: ["0", "-1"] }[type] ?? [];
  return command === undefined ? key : `${key} ${JSON.stringify(await redis.call(command, key, ...range))}`;
}

/** Created only by our migrations; retraining_decisions may have been created by the DAG. */
const OWN_TABLES = ["retraining_dispatches", "retraining_events"];

/** Returns everything that Retrigger's tables hold as one text. Fails if only some of the tables exist. */
export async function dumpTables(
  sql: (text: string, values?: unknown[]) => Promise<unknown[]>,
): Promise<string> {
  const found = await sql("SELECT FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL", [
    OWN_TABLES,
  ]);
  // A test that never migrates has none of the tables.
  if (found.length === 0) return "";
  const tables = ["retraining_decisions", ...OWN_TABLES];
  return JSON.stringify(await Promise.all(tables.map((table) => sql(`SELECT * FROM ${table}`))));
}
