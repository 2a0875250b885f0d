import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { chooseRootDrop, spawnServer, stopProcess, waitUntilUp } from "../../src/embedded/server-process.ts";
import { probeRedis } from "../../src/redis/connection.ts";
import { queryOnce } from "../support/database-url.ts";

/** A running server that can be killed, paused and started again on the same port and files. */
export interface ServerControl {
  kill(): Promise<void>;
  /** Starts it again with the same command line, and waits until it responds. */
  restart(): Promise<void>;
  /** Suspends it and all its processes (SIGSTOP) until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the server if it was restarted here; the original one is ended by its owner. */
  stop(): Promise<void>;
}

export async function controlPostgres(url: string): Promise<ServerControl> {
  const [row] = await queryOnce(url, "SHOW data_directory");
  const directory = String(row?.["data_directory"]);
  const readPid = async () =>
    Number((await readFile(join(directory, "postmaster.pid"), "utf8")).split("\n")[0]);
  const [program = "", ...args] = await readArguments(await readPid());
  return controlServer({
    readPid,
    spawn: () =>
      spawnServer(program, args, {
        rootDrop: chooseRootDrop([dirname(directory), dirname(program)]),
        deathSignal: "SIGQUIT",
      }),
    isUp: () => queryOnce(url, "SELECT 1"),
  });
}

export async function controlRedis(url: string): Promise<ServerControl> {
  const ask = async (section: string, field: string): Promise<string> => {
    const info = await probeRedis({ redisUrl: url }, (redis) => redis.info(section));
    return new RegExp(`^${field}:(.*)$`, "m").exec(info)?.[1]?.trim() ?? "";
  };
  const program = await ask("server", "executable");
  // Redis replaces its command line by a title, but says which file its settings are in.
  const file = await ask("server", "config_file");
  return controlServer({
    readPid: async () => Number(await ask("server", "process_id")),
    spawn: () =>
      spawnServer(program, [file], {
        rootDrop: chooseRootDrop([dirname(dirname(file)), dirname(program)]),
        deathSignal: "SIGKILL",
      }),
    isUp: () => probeRedis({ redisUrl: url }, (redis) => redis.ping()),
  });
}

async function controlServer({
  readPid,
  spawn,
  isUp,
}: {
  readPid: () => Promise<number>;
  spawn: () => ReturnType<typeof spawnServer>;
  isUp: () => Promise<unknown>;
}): Promise<ServerControl> {
  let pid = await readPid();
  let restarted: ReturnType<typeof spawnServer> | undefined;

  const signalAll = async (signal: NodeJS.Signals): Promise<void> => {
    for (const each of [pid, ...(await childrenOf(pid))]) signalProcess(each, signal);
  };
  return {
    async kill() {
      const children = await childrenOf(pid);
      await signalAll("SIGKILL");
      // A new Postgres refuses to start while processes of the old one are alive.
      for (const each of [pid, ...children]) await untilGone(each);
    },
    async restart() {
      restarted = spawn();
      await waitUntilUp(restarted, isUp);
      pid = await readPid();
    },
    pause: () => signalAll("SIGSTOP"),
    resume: () => signalAll("SIGCONT"),
    async stop() {
      if (restarted) await stopProcess(restarted.child, "SIGINT");
    },
  };
}

async function readArguments(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8");
  return text.split("\0").slice(0, -1);
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function untilGone(pid: number): Promise<void> {
  for (;;) {
    const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
    // A zombie no longer holds any resources.
    if (state === null || /\) Z /.test(state)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
