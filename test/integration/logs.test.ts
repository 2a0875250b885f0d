import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { toArguments } from "../support/bundle.ts";
import { startService } from "../support/service-process.ts";
import { addCheck, createWorld, holdTable, until, withQueue, type World } from "../support/world.ts";

let world: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", ROLE: "worker" } });
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await world.close();
});

async function start() {
  const service = startService(world);
  ends.push(async () => {
    if (service.child.exitCode !== null) return;
    service.child.kill("SIGTERM");
    await once(service.child, "exit");
  });
  await service.untilLogged("Retrigger is ready");
  const isReadyAt = service.lines.length;
  return { ...service, since: () => service.lines.slice(isReadyAt) };
}

describe("the log as JSON", () => {
  it("has one line per decision, with verdict, reason and what it took", async () => {
    const { since } = await start();
    const quiet = await world.decide();
    await addCheck(world);
    const trigger = await world.decide();
    await until("both are logged", async () => since().length === 2);
    const shared = { level: 30, msg: "decided", model: "default", cause: "event" };
    const durationMs = expect.any(Number) as number;
    const stagesMs = { gather: durationMs, evaluate: durationMs, act: durationMs, summarize: durationMs };
    expect(since()).toEqual([
      {
        ...shared,
        time: expect.any(String) as string,
        decision: "no_action",
        reason: "no_recent_drift_checks,no_drift_alerts",
        decisionId: 1,
        durationMs,
        stagesMs,
        runId: quiet.runId,
      },
      {
        ...shared,
        time: expect.any(String) as string,
        decision: "trigger_mock",
        reason: "drift_detected",
        decisionId: 2,
        training: "sent",
        durationMs,
        stagesMs,
        runId: trigger.runId,
      },
    ]);
    for (const { durationMs: took } of since()) expect(took).toBeLessThan(20_000);
  });

  it("has one line for what leads to no decision of its own, and says why", async () => {
    await addCheck(world);
    const { since } = await start();
    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide();
    await hold.untilSessionWaits();
    const other = await world.client.send("drift_monitoring.completed", { runId: "during" });
    await world.client.send("drift_monitoring.completed", { runId: "during" });
    await world.client.send("drift_monitoring.completed", { runId: "broken", status: "failed" });
    await until("all are logged", async () => since().length >= 3);
    await hold.release();
    const first = await deciding;
    const second = await world.client.waitForDecision(other, { limitMs: 25_000 });
    await until("the follow-up is logged", async () =>
      since().some(({ runId, msg }) => msg === "decided" && runId === second.runId),
    );
    const told = since().map(({ msg, runId }) => [msg, runId]);
    expect(told.filter(([message]) => message !== "follow-up waits")).toEqual(
      expect.arrayContaining([
        ["folded into a follow-up", second.runId],
        ["duplicate event", second.runId],
        ["the drift run failed, so nothing is decided", undefined],
        ["decided", first.runId],
        ["decided", second.runId],
      ]),
    );
    expect(new Set(told.map(String)).size).toBe(told.length);
  });

  it("says once that a run was abandoned, and why", async () => {
    const { since } = await start();
    await withQueue(world, "gather", async (queue) => {
      await queue.pause();
      const jobId = await world.client.send("drift_monitoring.completed", { runId: "removed" });
      const [job] = await until("gather is next", async () => {
        const jobs = await queue.getJobs(["wait"]);
        return jobs.length > 0 ? jobs : null;
      });
      await job?.remove({ removeChildren: false });
      await queue.resume();
      await world.client.waitForDecision(jobId, { limitMs: 25_000 }).catch(() => {});
      expect(since().map(({ msg, removed, runId }) => ({ msg, removed, runId }))).toEqual([
        { msg: "run abandoned", removed: "gather", runId: job?.id },
      ]);
    });
  });

  it("has one line for a failure, however often the job is tried", async () => {
    await world.sql("ALTER TABLE drift_alerts RENAME TO gone");
    const { since } = await start();
    await world.decide().catch(() => {});
    await until("the failure is logged", async () => since().length > 0);
    expect(since().map(({ level, msg, queue }) => ({ level, msg, queue }))).toEqual([
      { level: 50, msg: "failed for good", queue: "gather" },
    ]);
  });
});

/** Runs a script on a terminal of 80 columns, until its output matches; then interrupts it. Returns the output. */
async function runOnTerminal(
  args: readonly string[],
  settings: Record<string, string>,
  whenReady: () => Promise<unknown> = async () => {},
): Promise<string> {
  const command = [process.execPath, ...args].map((each) => `'${each}'`).join(" ");
  const child = spawn("script", ["-qefc", `stty cols 80; exec ${command}`, "/dev/null"], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      NODE_ENV: "test",
      TERM: "xterm",
      ...settings,
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, "exit");
  await Promise.race([until("it is ready", async () => output.includes("Retrigger is ready")), ended]);
  await whenReady();
  if (child.exitCode === null) child.stdin.write("\u0003");
  await ended;
  return output.replaceAll("\r\n", "\n");
}

describe("the log on a terminal", () => {
  it("has readable lines that fit into 80 columns, down to the last one", async () => {
    await addCheck(world);
    const settings = { ...world.settings, LOG_LEVEL: "info", NO_COLOR: "1" };
    const output = await runOnTerminal(toArguments("src/main.ts"), settings, async () => {
      await world.decide();
    });
    const lines = output.trim().split("\n");
    const from = lines.findIndex((line) => line.includes("decided"));
    expect(
      lines
        .slice(from)
        .join("\n")
        .replaceAll(/\d\d:\d\d:\d\d/g, "TIME"),
    ).toMatch(
      /^TIME INFO {2}decided model=default decision=trigger_mock reason=drift_detected\n {15}decisionId=1 training=sent cause=event durationMs=\d+\n {15}runId=[\da-f-]{36}\n(\^C)?TIME INFO {2}stopping signal=SIGINT$/,
    );
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  });

  it("obeys no text from outside, and shows no secret", async () => {
    const script = `import { createLogger } from ${JSON.stringify(new URL("../../src/process/logger.ts", import.meta.url).href)};
      const log = createLogger("info", (text) => text.replaceAll("hush-hush", "[SECRET]"));
      log.warn({ feature: "a\\u001b[2J\\u009b31m\\u202e", token: "t", why: "with hush-hush" }, "first\\n00:00:00 INFO  forged");
      log.error({ err: new Error("broken\\u0007") }, "second");`;
    const output = await runOnTerminal(
      ["--import", "tsx", "--input-type=module", "--eval", script.replaceAll("'", "")],
      { FORCE_COLOR: "1" },
    );
    // oxlint-disable-next-line no-control-regex
    const plain = output.replaceAll(/\u001b\[\d+m/g, "");
    expect(plain).not.toMatch(/[^\P{Cc}\n\t]|[\u202e]/u);
    expect(output).not.toBe(plain);
    expect(plain).toMatch(/^\d\d:\d\d:\d\d WARN {2}first\n {15}00:00:00 INFO {2}forged/);
    expect(plain).toContain("why=with [SECRET]");
    expect(plain).toContain("feature=a\\u001b[2J\\u009b31m\\u202e");
    expect(plain).toContain("token=[Redacted]");
    expect(plain).toMatch(/ERROR second\n {15}Error: broken\\u0007\n {19}at /);
  });
});
