import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { listCommands, runScript, spawnScript, untilOutput } from "../support/process.ts";
import { until } from "../support/world.ts";

/** The directories below .data/ that hold the data of a demo's servers, and the servers that run in them. */
async function findServers(): Promise<{ directories: string[]; commands: string[] }> {
  const names = (await readdir(".data")).filter((name) => name.startsWith("servers-"));
  const areOfTests = await Promise.all(names.map(isOfTests));
  const directories = names.filter((_, index) => !areOfTests[index]);
  const commands = await listCommands();
  return {
    directories,
    commands: commands.filter((command) => directories.some((name) => command.includes(`/.data/${name}/`))),
  };
}

/** Whether the servers of a directory belong to the test runner, which may start and stop some at any time. */
async function isOfTests(directory: string): Promise<boolean> {
  const pid = directory.split("-")[1];
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return command.includes("vitest");
}

/** Starts the demo and waits until it serves. */
async function serveDemo() {
  const child = spawnScript("src/demo.ts", ["--scenario", "2"], {});
  const text = await untilOutput(child, /Serving until Ctrl-C/);
  return { child, address: /http:\/\/\S+?(?=\/decisions)/.exec(text)?.[0] };
}

// Each test starts its own servers, beside those of the other tests.
describe("npm run demo", { timeout: 90_000 }, () => {
  it("ends after the report with --once, and leaves nothing behind", async () => {
    const before = await findServers();
    const { code, stdout, stderr } = await runScript("src/demo.ts", ["--once", "--scenario", "2"], {});
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("✔ summarize");
    expect(stdout).toContain("FINAL STATUS: NO ACTION - CONTINUE MONITORING");
    expect(await findServers()).toEqual(before);
  });

  it("serves its pages until SIGINT, and leaves nothing behind", async () => {
    const before = await findServers();
    const { child, address } = await serveDemo();
    expect(await (await fetch(`${address}/decisions`)).text()).toContain("insufficient_buffer");
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await findServers()).toEqual(before);
  });

  it("says why it waits for a trainer that cannot be reached, ends on SIGINT, and leaves nothing behind", async () => {
    const before = await findServers();
    const settings = { TRAINER: "github", GITHUB_API_URL: "http://127.0.0.1:1" };
    const child = spawnScript("src/demo.ts", ["--once"], settings);
    await untilOutput(child, /⏳ No response from GitHub/);
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await findServers()).toEqual(before);
  });

  it("takes its servers down with it if it is killed, and the next demo removes their files", async () => {
    const before = await findServers();
    const { child } = await serveDemo();
    child.kill("SIGKILL");
    await until(
      "its servers end",
      async () => (await findServers()).commands.length === before.commands.length,
    );
    await runScript("src/demo.ts", ["--once", "--scenario", "2"], {});
    expect(await findServers()).toEqual(before);
  });

  it.each([
    [["--scenario", "5"], {}, "Must be one of 1 ("],
    [["--once"], { MIN_BUFFER_SIZE: "lots" }, 'MIN_BUFFER_SIZE is "lots"'],
    [
      ["--once"],
      { DATABASE_URL: "postgres://127.0.0.1:1/x", REDIS_URL: "redis://127.0.0.1:1" },
      "Cannot reach Redis",
    ],
  ])("%j with %j says what is wrong, and ends", async (args, settings, message) => {
    const { code, stderr, stdout } = await runScript("src/demo.ts", args, settings);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stdout).not.toContain("on the queue");
  });
});
