import { afterEach, expect, it } from "vitest";
import { createWorld, holdTable, until, type World } from "../../support/world.ts";

let world: World;
afterEach(() => world.close());

it("a request that is under way when the service stops gets its response, and a stream is no reason to wait", async () => {
  world = await createWorld();
  const app = await world.startApp({ role: "web" });
  const address = app.address() ?? "";
  const stream = await fetch(`${address}/api/v1/stream`);
  expect(stream.headers.get("content-type")).toContain("text/event-stream");
  const hold = await holdTable(world, "retraining_decisions");
  const reading = fetch(`${address}/api/v1/decisions`);
  await hold.untilSessionWaits();
  const stopping = world.stopApps();
  await until("no more connections are taken", async () =>
    fetch(`${address}/healthz`).then(
      () => false,
      () => true,
    ),
  );
  await hold.release();
  expect((await reading).status).toBe(200);
  await stopping;
  await stream.body?.cancel().catch(() => {});
});
