import { execFileSync } from "node:child_process";
import { findProgram } from "../../src/process/find-program.ts";
import { queryOnce, withDatabase } from "./database-url.ts";

/**
 * Backs a database up and restores it as another one: with pg_dump and pg_restore if they are as new as the server, which
 * refuses older ones; else by a copy of its files. Returns the URL of the restored one.
 */
export async function copyDatabase(url: string, name: string): Promise<string> {
  const restored = withDatabase(url, name);
  if (await canDump(url)) {
    await queryOnce(url, `CREATE DATABASE ${name}`);
    const dump = execFileSync("pg_dump", [url, "--format=custom"], { maxBuffer: 64 * 1024 * 1024 });
    execFileSync("pg_restore", ["--dbname", restored, "--exit-on-error"], { input: dump });
    return restored;
  }
  const original = new URL(url).pathname.slice(1);
  const server = withDatabase(url, "postgres");
  // The template must have no sessions. Ours reconnect.
  await queryOnce(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [
    original,
  ]);
  await queryOnce(server, `CREATE DATABASE ${name} TEMPLATE ${original}`);
  return restored;
}

async function canDump(url: string): Promise<boolean> {
  if (findProgram(["pg_dump"]) === undefined) return false;
  const version = execFileSync("pg_dump", ["--version"], { encoding: "utf8" });
  const [row] = await queryOnce<{ server_version_num: string }>(url, "SHOW server_version_num");
  return Number(/\d+/.exec(version)?.[0]) >= Math.floor(Number(row?.server_version_num) / 10_000);
}
