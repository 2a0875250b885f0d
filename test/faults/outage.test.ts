import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { until } from "../support/world.ts";
import { type Lane, openLane } from "./lane.ts";
import type { WorkerProcess } from "./worker-process.ts";

// `OUTAGE_SECONDS=120` for the two minutes of docs/reliability.md.
const OUTAGE_MS = Number(process.env["OUTAGE_SECONDS"] ?? 8) * 1_000;

let lane: Lane;
beforeAll(async () => {
  lane = await openLane();
}, 60_000);
afterAll(async () => {
  // A test that failed in the middle has left one suspended, and a suspended process does not end.
  await Promise.all([lane.redis.resume(), lane.postgres.resume()]);
  await lane.close();
});

type Server = "redis" | "postgres";
const NAMES = { redis: "Redis", postgres: "Postgres" } as const;

const OUTAGES: { server: Server; how: string; begin: () => unknown; end: () => unknown }[] = [
  { server: "redis", how: "killed", begin: () => lane.redis.kill(), end: () => lane.redis.restart() },
  { server: "redis", how: "hanging", begin: () => lane.redis.pause(), end: () => lane.redis.resume() },
  {
    server: "postgres",
    how: "killed",
    begin: () => lane.postgres.kill(),
    end: () => lane.postgres.restart(),
  },
  {
    server: "postgres",
    how: "hanging",
    begin: () => lane.postgres.pause(),
    end: () => lane.postgres.resume(),
  },
];

describe("a temporary outage of a server", () => {
  it.each(OUTAGES)(
    "$server $how: one line when it begins and one when it ends, immediate 503s meanwhile, and then the service recovers",
    { timeout: 60_000 + 2 * OUTAGE_MS },
    async ({ server, begin, end }) => {
      const sandbox = await lane.openSandbox({});
      const service = await sandbox.startWorker({}, { ROLE: "all", PORT: "0" });
      const address = String(service.lines.find(({ msg }) => msg === "Retrigger is ready")?.["address"]);
      const get = (path: string) => timed(() => fetch(address + path));
      const send = (runId: string) => sandbox.producer.send(INBOX_JOBS.event, { runId });
      const decide = async (runId: string) =>
        sandbox.producer.waitForDecision(await send(runId), { limitMs: 60_000 });
      await decide("before");
      expect((await get("/readyz")).status).toBe(200);

      const logged = service.lines.length;
      const cpuBefore = await cpuSeconds(service);
      await begin();
      // An outage of Postgres is noticed by the next query.
      const during = server === "postgres" ? [await send("during-1"), await send("during-2")] : [];
      const endsAt = Date.now() + OUTAGE_MS;
      const pages = server === "redis" ? "/queues/" : "/decisions";
      while (Date.now() < endsAt) {
        const ready = await get("/readyz");
        expect(ready.status).toBe(503);
        expect(JSON.parse(ready.text)).toEqual({
          isReady: false,
          postgres: server === "postgres" ? "down" : "up",
          redis: server === "redis" ? "down" : "up",
        });
        const page = await get(pages);
        expect(page.status).toBe(503);
        expect(page.text).toContain(`${NAMES[server]} is away`);
        const change = await timed(() =>
          fetch(`${address}/api/v1/events`, {
            method: "POST",
            headers: { origin: address, "content-type": "application/json" },
            body: JSON.stringify({ runId: "refused" }),
          }),
        );
        expect({ ...change, ms: 0, text: JSON.parse(change.text) }).toMatchObject({
          status: 503,
          text: { status: 503, code: "SERVER_AWAY" },
        });
        expect(Math.max(ready.ms, page.ms, change.ms)).toBeLessThan(2_500);
        expect((await get("/healthz")).status).toBe(200);
        await pause(500);
      }
      const cpuShare = ((await cpuSeconds(service)) - cpuBefore) / (OUTAGE_MS / 1_000);
      await end();
      await until("it is ready again", async () => (await get("/readyz")).status === 200);

      for (const jobId of during) await sandbox.producer.waitForDecision(jobId, { limitMs: 60_000 });
      expect((await decide("after")).reason).toMatch(/^already_acted_on/);
      expect(await sandbox.sql("SELECT FROM retraining_decisions WHERE decision = 'trigger'")).toHaveLength(
        1,
      );
      const messages = service.lines.slice(logged).map(({ msg }) => String(msg));
      expect(messages.filter((line) => line.includes("is away"))).toHaveLength(1);
      expect(messages.filter((line) => line.includes("is back"))).toHaveLength(1);
      const warnings = service.lines.slice(logged).filter(({ level }) => Number(level) >= 40);
      expect(warnings.map(({ msg }) => msg)).toEqual([expect.stringContaining(`${NAMES[server]} is away`)]);
      expect(cpuShare).toBeLessThan(0.5);
      expect(await sandbox.close()).toEqual([]);
    },
  );
});

async function timed(ask: () => Promise<Response>): Promise<{ status: number; text: string; ms: number }> {
  const from = performance.now();
  const response = await ask();
  const text = await response.text();
  return { status: response.status, text, ms: performance.now() - from };
}

/** User and system time that a process has used: fields 14 and 15 of its stat file, in hundredths of a second. */
async function cpuSeconds({ child }: WorkerProcess): Promise<number> {
  const text = await readFile(`/proc/${child.pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
