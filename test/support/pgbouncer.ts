import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  chooseRootDrop,
  findFreePort,
  handOver,
  spawnServer,
  stopProcess,
  waitUntilUp,
} from "../../src/embedded/server-process.ts";
import { findProgram } from "../../src/process/find-program.ts";
import { queryOnce } from "./database-url.ts";

export interface PgBouncer {
  /** The same database through the pooler. */
  url: string;
  stop(): Promise<void>;
}

/** Debian's PgBouncer; undefined if it is not installed. */
export const PGBOUNCER = findProgram(["pgbouncer"]);

/**
 * Starts PgBouncer in transaction mode in front of the server of `databaseUrl`, for all of its databases, with at most two
 * server connections each. Any client may log in: it listens on the loopback address only.
 */
export async function startPgBouncer(databaseUrl: string): Promise<PgBouncer> {
  if (PGBOUNCER === undefined)
    throw new Error("pgbouncer is not on the PATH. Install it with: apt-get install pgbouncer");
  await mkdir(".data", { recursive: true });
  // Named like the directories of the embedded servers, so that what a killed test run leaves behind is removed.
  const directory = await mkdtemp(join(process.cwd(), ".data", `servers-${process.pid}-pgbouncer-`));
  await chmod(directory, 0o711);
  const rootDrop = chooseRootDrop([directory]);
  const port = await findFreePort();
  const file = join(directory, "pgbouncer.ini");
  await writeFile(file, settingsOf(new URL(databaseUrl), port), { mode: 0o600 });
  await handOver(file, rootDrop);
  const server = spawnServer(PGBOUNCER, [file], { rootDrop, deathSignal: "SIGKILL" });
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  await waitUntilUp(server, () => queryOnce(url.href, "SELECT 1"));
  return {
    url: url.href,
    async stop() {
      await stopProcess(server.child, "SIGTERM");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function settingsOf({ hostname, port: serverPort, username, password }: URL, port: number): string {
  const server = {
    host: hostname,
    port: serverPort || "5432",
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
  };
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: "transaction",
    default_pool_size: 2,
    max_client_conn: 200,
  };
  const target = Object.entries(server).map(([name, value]) => `${name}='${value.replaceAll("'", "''")}'`);
  return [
    "[databases]",
    `* = ${target.join(" ")}`,
    "[pgbouncer]",
    ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
    "",
  ].join("\n");
}
