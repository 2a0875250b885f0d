import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
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

/** What is there that was not before. What is gone was another test's. */
async function findLeftBehind(before: Awaited<ReturnType<typeof findServers>>): Promise<string[]> {
  const now = await findServers();
  const old = new Set([...before.directories, ...before.commands]);
  return [...now.directories, ...now.commands].filter((one) => !old.has(one));
}

/** Starts the demo and waits until it serves. */
async function serveDemo() {
  const child = spawnScript("src/demo.ts", ["--scenario", "2"], {});
  const text = await untilOutput(child, /RETRIGGER_URL=\S+\n.*DATABASE_URL=\S+\n/);
  return { child, text, address: /http:\/\/\S+?(?=\/models)/.exec(text)?.[0] };
}

// Each test starts its own servers, beside those of the other tests.
describe("npm run demo", { timeout: 90_000 }, () => {
  it("ends after the report with --once, and leaves nothing behind", async () => {
    const before = await findServers();
    const { code, stdout, stderr } = await runScript("src/demo.ts", ["--once", "--scenario", "2"], {});
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("✔ summarize");
    expect(stdout).toContain("FINAL STATUS: NO ACTION - CONTINUE MONITORING");
    expect(stdout).not.toContain("RETRIGGER_URL");
    // Without pages, no history is needed.
    expect(stdout).toContain("Decision: #1\n");
    expect(await findLeftBehind(before)).toEqual([]);
  });

  it("serves its pages, with a history behind its event, until SIGINT, and leaves nothing behind", async () => {
    const before = await findServers();
    const { child, text, address } = await serveDemo();
    expect(text.split("\n").slice(-11)).toEqual([
      "Serving until Ctrl-C.",
      "",
      `All models:  ${address}/`,
      `cinematch:   ${address}/models/cinematch`,
      "",
      "In another terminal:",
      "",
      `  export RETRIGGER_URL=${address}`,
      expect.stringMatching(/^ {2}export DATABASE_URL='postgres:\S+'$/),
      expect.stringMatching(/^ {2}export REDIS_URL='redis:\S+'$/),
      "",
    ]);
    expect(text).toContain("Model: cinematch");
    const { decisions } = (await (await fetch(`${address}/api/v1/decisions?limit=500`)).json()) as {
      decisions: { id: number; model: string; reason: string }[];
    };
    const latest = ["cinematch", "fraud", "search"].map((name) =>
      decisions.find(({ model }) => model === name),
    );
    expect(latest.map((decision) => decision?.reason)).toEqual([
      "insufficient_buffer",
      "awaiting_approval",
      "cooldown",
    ]);
    // The event of the demo is the last decision: the service has not decided about the other models again.
    expect(decisions[0]).toEqual(latest[0]);
    expect(decisions.length).toBeGreaterThan(60);
    const [, name = "", url = ""] = /export (\w+)=(\S+)/.exec(text) ?? [];
    const { stdout } = await runScript("src/cli.ts", ["history", "-n", "1"], { [name]: url });
    expect(stdout).toContain(`#${decisions[0]?.id} `);
    child.kill("SIGINT");
    // As npm passes it on.
    setTimeout(() => child.kill("SIGINT"), 20);
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await findLeftBehind(before)).toEqual([]);
  });

  it("says why it waits for a trainer that cannot be reached, ends on SIGINT, and leaves nothing behind", async () => {
    const before = await findServers();
    const settings = { TRAINER: "github", GITHUB_API_URL: "http://127.0.0.1:1" };
    const child = spawnScript("src/demo.ts", ["--once"], settings);
    await untilOutput(child, /⏳ No response from GitHub/);
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await findLeftBehind(before)).toEqual([]);
  });

  it("takes its servers down with it if it is killed, and the next demo removes their files", async () => {
    const before = await findServers();
    const { child } = await serveDemo();
    child.kill("SIGKILL");
    await until("its servers end", async () =>
      (await findServers()).commands.every((command) => before.commands.includes(command)),
    );
    await runScript("src/demo.ts", ["--once", "--scenario", "2"], {});
    expect(await findLeftBehind(before)).toEqual([]);
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

const EXAMPLE = "retrigger.example.yaml";

const directory = mkdtempSync(join(tmpdir(), "demo-"));
afterAll(() => rmSync(directory, { recursive: true }));

function writeConfig(name: string, text: string): string {
  const path = join(directory, `${name}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** The variables that the demo says to export. */
function readExports(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^ {2}export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]),
  );
}

describe("npm run demo -- --config", { timeout: 90_000 }, () => {
  it("brings the three models of the example to three outcomes, and serves other shells", async () => {
    const child = spawnScript("src/demo.ts", ["--config", EXAMPLE], {});
    try {
      const text = await untilOutput(child, /Serving until Ctrl-C/);
      expect(text).toMatch(
        /Serving until Ctrl-C\.\n\nAll models: {2}(http:\S+)\/\n\nIn another terminal:\n\n {2}export RETRIGGER_URL=\1\n$/,
      );
      const [, films, fraud, prices] = text.split(/^━━ \w+ ━+$/m);
      expect(films).toContain(": trigger_mock (drift_detected)");
      expect(films).toContain("Enough features drifting? 2 (at least 2)");
      expect(fraud).toContain(": no_action (awaiting_approval)");
      expect(prices).toContain(": no_action (waiting_cost_too_low)");
      expect(prices).toMatch(/What would turn it:\n {3}• waiting cost is reached .* \(in 5 h\)/);
      const command = /npx retrigger (approve \d+ --by YOU) --reason/.exec(text)?.[1]?.split(" ") ?? [];
      const settings = readExports(text);
      const approved = await runScript("src/cli.ts", [...command, "--reason", "the drift is real"], settings);
      expect(approved).toMatchObject({ code: 0, stderr: "" });
      await until("the approved training is requested", async () => {
        const { stdout } = await runScript("src/cli.ts", ["history", "--model", "fraud"], settings);
        return stdout.includes("trigger_mock");
      });
    } finally {
      child.kill("SIGINT");
    }
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it("prints the whole reports with --once, without texts that are meant for the guide's tables", async () => {
    const { code, stdout, stderr } = await runScript("src/demo.ts", ["--once", "--config", EXAMPLE], {});
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.match(/FINAL STATUS: .*/g)).toEqual([
      "FINAL STATUS: RETRAINING TRIGGERED (MOCK)",
      "FINAL STATUS: NO ACTION - WAITING FOR AN APPROVAL",
      "FINAL STATUS: NO ACTION - CONTINUE MONITORING",
    ]);
    expect(stdout).toMatch(/Approve it: npx retrigger approve \d+ --by NAME --reason TEXT/);
    expect(stdout).not.toMatch(
      /\bratings\b|teammate|\bDAG\b|MOCK trigger -|Run drift_monitoring|no batch id/,
    );
  });

  it("makes up no tables of another file: that model fails, and the others are decided about", async () => {
    const path = writeConfig(
      "other",
      `
models:
  books:
    source: { checks: { table: books.log }, buffer: reported }
  ratings:
    policy: { when: { driftAlerts: 1, bufferSize: 50000 } }
`,
    );
    const { code, stdout } = await runScript("src/demo.ts", ["--once", "--config", path], {});
    expect(code).toBe(1);
    expect(stdout).toContain("models.books.source.checks.table: the table or view books.log does not exist");
    expect(stdout).toContain("FINAL STATUS: RETRAINING TRIGGERED (MOCK)");
  });

  it("refuses a faulty file with its faults before anything starts", async () => {
    const path = writeConfig("faulty", "models:\n  films:\n    policy: { when: { bufferSize: 50k } }\n");
    const { code, stdout, stderr } = await runScript("src/demo.ts", ["--once", "--config", path], {});
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(
      'models.films.policy.when.bufferSize: expected a whole number, got "50k" (line 3)',
    );
  });
});
