import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { addCheck, createWorld, until } from "../support/world.ts";

it("an event that arrives while Postgres restarts behind a Unix socket is decided when it is back", async () => {
  const world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  const directory = mkdtempSync(join(tmpdir(), "socket-"));
  const url = new URL(world.config.databaseUrl);
  const sockets = new Set<Socket>();
  const listen = async (): Promise<Server> => {
    const server = createServer((near) => {
      const far = connect(Number(url.port), url.hostname);
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far);
      far.pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(join(directory, ".s.PGSQL.5432"), resolve));
    return server;
  };
  let server = await listen();
  // The socket's file goes with its server.
  const stop = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  try {
    await addCheck(world);
    const login = `${url.username}:${url.password}`;
    await world.startApp({
      databaseUrl: `postgres://${login}@localhost:5432${url.pathname}?host=${encodeURIComponent(directory)}`,
    });
    await world.decide();
    stop();
    const jobId = await world.client.send(INBOX_JOBS.event, { runId: "while-it-restarts" });
    await until("it was tried in vain", async () => {
      const job = await world.client.inbox.getJob(jobId);
      return (job?.attemptsStarted ?? 0) > 0 && (await job?.isActive()) === false;
    });
    server = await listen();
    const { decision } = await world.client.waitForDecision(jobId, { limitMs: 40_000 });
    expect(decision).toBe("no_action");
  } finally {
    await world.close();
    stop();
    rmSync(directory, { recursive: true, force: true });
  }
});
