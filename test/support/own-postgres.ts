import { chmod, cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import pg from "pg";
import { createCluster, runCluster } from "../../src/embedded/postgres.ts";
import { chooseRootDrop, findFreePort, handOver } from "../../src/embedded/server-process.ts";
import { SCRATCH } from "./scratch.ts";

/** A Postgres of a test's own, with settings that the shared one does not have. */
export interface OwnPostgres {
  url: string;
  /** Its files are in the folder `postgres` of this directory. */
  directory: string;
  stop(): Promise<void>;
}

const FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/** @param prepare Returns further settings. */
export async function startOwnPostgres(
  prepare: (directory: string) => Promise<string[]> = async () => [],
): Promise<OwnPostgres> {
  const directory = await makeDirectory();
  const { password } = await createCluster(directory);
  return run(directory, password, await prepare(directory));
}

/** Starts a streaming replica of a server, which `SELECT pg_promote()` makes a primary. */
export async function startStandby(primary: OwnPostgres): Promise<OwnPostgres> {
  const directory = await makeDirectory();
  const dataDirectory = join(directory, "postgres");
  // A backup lasts as long as its connection.
  const client = new pg.Client(primary.url);
  await client.connect();
  await client.query("SELECT pg_backup_start('standby', true)");
  await cp(join(primary.directory, "postgres"), dataDirectory, {
    recursive: true,
    filter: (path) => !path.endsWith("postmaster.pid"),
  });
  const { rows } = await client.query<{ labelfile: string }>("SELECT labelfile FROM pg_backup_stop(false)");
  await client.end();
  await writeFile(join(dataDirectory, "backup_label"), rows[0]?.labelfile ?? "");
  await writeFile(join(dataDirectory, "standby.signal"), "");
  await handOverAll(dataDirectory);
  const { password, port } = new URL(primary.url);
  const source = `host=127.0.0.1 port=${port} user=postgres password=${password}`;
  return run(directory, password, [`primary_conninfo=${source}`]);
}

async function makeDirectory(): Promise<string> {
  // Named like the directories of the embedded servers, so that what a killed test run leaves behind is removed.
  const directory = await mkdtemp(join(SCRATCH, `servers-${process.pid}-own-`));
  await chmod(directory, 0o711);
  return directory;
}

async function run(directory: string, password: string, settings: readonly string[]): Promise<OwnPostgres> {
  const cluster = { dataDirectory: join(directory, "postgres"), password };
  const server = await runCluster(cluster, {
    port: await findFreePort(),
    settings: [...FAST, ...settings],
  });
  return {
    url: server.url,
    directory,
    async stop() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function handOverAll(directory: string): Promise<void> {
  const rootDrop = chooseRootDrop([dirname(directory)]);
  await chmod(directory, 0o700);
  const names = await readdir(directory, { recursive: true });
  for (const path of [directory, ...names.map((name) => join(directory, name))])
    await handOver(path, rootDrop);
}
