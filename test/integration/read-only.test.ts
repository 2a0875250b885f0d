import { once } from "node:events";
import { afterEach, expect, it } from "vitest";
import { runScript } from "../support/process.ts";
import { startService } from "../support/service-process.ts";
import { addCheck, createWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const PERMISSION = ["--permission", "--experimental-permission"].find((flag) =>
  process.allowedNodeEnvironmentFlags.has(flag),
);
/** Node itself refuses to write any file. */
const READ_ONLY = { NODE_OPTIONS: `${PERMISSION} --allow-fs-read=* --allow-worker --no-warnings` };

it("migrates, decides and serves where no file can be written, as in deploy/kubernetes", async () => {
  world = await createWorld({ isUnmigrated: true, settings: { MIN_BUFFER_SIZE: "0" } });
  await addCheck(world);
  const { code, stderr } = await runScript("src/cli.ts", ["migrate"], { ...world.settings, ...READ_ONLY });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const service = startService(world, READ_ONLY);
  const { get, readiness } = await service.untilReady();
  expect((await world.decide()).decision).toBe("trigger_mock");
  expect(await readiness()).toMatchObject({ status: 200 });
  for (const path of ["/", "/health", "/queues", "/metrics"])
    expect((await get(path)).status, path).toBe(200);
  expect(service.warnings()).toEqual([]);
  const ended = once(service.child, "exit");
  service.child.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
});
