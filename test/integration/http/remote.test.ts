import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Queue } from "bullmq";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX } from "../../../queues/names.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { createDatabase } from "../../../src/postgres/database.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { runScript, spawnScript } from "../../support/process.ts";
import { addCheck, createWorld, until, type World, withQueue } from "../../support/world.ts";

let world: World;
let url: string;
let token: string;

beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  const database = createDatabase(world.config, createLogger("silent"));
  ({ token } = await database.createToken({
    name: "ci",
    role: "operator",
    createdBy: "a test",
    forSeconds: null,
  }));
  await database.close();
  const app = await world.startApp(parseConfig({ ...world.settings, ROLE: "all" }));
  url = app.address() ?? "";
  await addCheck(world);
});
afterAll(() => world.close());

/** Runs a command that knows neither server. */
const run = (...args: string[]) =>
  runScript("src/cli.ts", args, { RETRIGGER_URL: url, RETRIGGER_TOKEN: token });

async function newestJobId(inbox: Queue): Promise<string> {
  const jobs = await inbox.getJobs();
  return String(Math.max(...jobs.map(({ id }) => Number(id)).filter((id) => !Number.isNaN(id))));
}

describe("a command with --url", { timeout: 60_000 }, () => {
  it("takes a drift run to its decision, and shows it", async () => {
    expect(await run("emit", "--run-id", "remote-1")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Sent drift_monitoring.completed for default as job") as string,
    });
    await until("it is recorded", async () => (await world.sql("SELECT FROM retraining_events")).length);
    expect((await run("emit", "--run-id", "remote-1")).stdout).toContain("was reported before");
    const decided = await run("decide", "--wait");
    expect(decided).toMatchObject({ code: 0, stdout: expect.stringContaining("already acted on") as string });
    const forced = await run(
      "decide",
      "--json",
      "--force",
      "--by",
      "somebody",
      "--reason",
      "a new label set",
    );
    expect(JSON.parse(forced.stdout)).toMatchObject({
      forced: { by: "ci", reason: "a new label set (somebody)" },
    });
    const history = JSON.parse((await run("history", "--json", "-n", "2")).stdout) as object[];
    expect(history).toHaveLength(2);
    expect((await run("why")).stdout).toContain("default: would");
    expect((await run("decide", "--dry-run", "--json")).stdout).toContain('"decisionId": null');
  });

  it.each([INBOX, "gather", "summarize"])(
    "says that the queue %s is paused while it waits, and so does the request's page",
    async (name) => {
      await withQueue(world, name, async (queue) => {
        await queue.pause();
        try {
          const child = spawnScript("src/cli.ts", ["decide", "--wait"], {
            RETRIGGER_URL: url,
            RETRIGGER_TOKEN: token,
          });
          const texts = { stdout: "", stderr: "" };
          for (const stream of ["stdout", "stderr"] as const)
            child[stream]?.on("data", (chunk: Buffer) => (texts[stream] += chunk.toString()));
          const reason = `the queue ${name} is paused. Press Resume in Bull Board: http://`;
          await until("it says so", async () => texts.stderr.includes(`⏳ Waiting: ${reason}`));
          const jobId = await withQueue(world, INBOX, newestJobId);
          const page = await fetch(`${url}/requests/${jobId}`, {
            headers: { authorization: `Bearer ${token}` },
          });
          expect(await page.text()).toContain(`Waiting: the queue ${name} is paused.`);
          await queue.resume();
          await once(child, "close");
          expect(child.exitCode).toBe(0);
          expect(texts.stderr.split("⏳ Waiting")).toHaveLength(2);
          expect(texts.stdout).toContain("already acted on");
        } finally {
          await queue.resume();
        }
      });
    },
  );

  it("sends a detector's report", async () => {
    const file = fileURLToPath(new URL("../../fixtures/detectors/evidently.json", import.meta.url));
    const { code, stdout } = await run("emit", "--evidently", file);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Evidently: \d+ check\(s\)/m);
    expect(stdout).toMatch(/^Saved \d+ check\(s\) of default\.$/m);
    const failed = [
      "emit",
      "--sagemaker",
      file.replace("evidently", "sagemaker"),
      "--status",
      "failed",
      "--run-id",
      "f1",
    ];
    expect((await run(...failed)).code).toBe(0);
    await until("it is recorded", async () => {
      const rows = await world.sql("SELECT outcome FROM retraining_events WHERE event_run_id = 'f1'");
      return rows.length > 0 ? (expect(rows).toEqual([{ outcome: "drift_run_failed" }]), true) : null;
    });
  });

  it("snoozes, reports growth, and says what the service refuses", async () => {
    const snoozed = await run(
      "snooze",
      "default",
      "--for",
      "3d",
      "--reason",
      "a holiday",
      "--by",
      "somebody",
    );
    expect(snoozed.stdout).toContain("default is snoozed until");
    expect((await run("unsnooze", "default")).stdout).toContain("default is no longer snoozed");
    expect(await run("unsnooze", "default")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("default is not snoozed") as string,
    });
    expect((await run("report-buffer", "--rows", "500")).stdout).toContain("Saved: 500 of default");
    expect(await run("dispatch", "retry", "1")).toMatchObject({ code: 1 });
    expect(await run("approve", "1", "--by", "me", "--reason", "fine")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("awaits no approval") as string,
    });
  });

  it("says what is wrong with the address or the token", async () => {
    const away = await runScript("src/cli.ts", ["why", "--url", "http://127.0.0.1:1", "--token", token], {});
    expect(away).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("Cannot reach http://127.0.0.1:1") as string,
    });
    const faulty = await runScript("src/cli.ts", ["why", "--url", "localhost"], {});
    expect(faulty).toMatchObject({ code: 1, stderr: expect.stringContaining("RETRIGGER_URL") as string });
    const unknown = await runScript("src/cli.ts", ["why", "--url", url, "--token", "rt_x"], {});
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("token is unknown") as string });
    expect(unknown.stderr).not.toContain("rt_x");
    const page = createServer((_, response) => response.end("<h1>Log in</h1>")).listen(0, "127.0.0.1");
    await once(page, "listening");
    const { port } = page.address() as AddressInfo;
    const elsewhere = await runScript(
      "src/cli.ts",
      ["unsnooze", "default", "--url", `http://127.0.0.1:${port}`],
      {},
    );
    page.close();
    expect(elsewhere).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is no Retrigger service") as string,
    });
  });
});

describe("an example", { timeout: 60_000 }, () => {
  const pathOf = (name: string) => fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));
  const execute = promisify(execFile);
  const isMissing = (program: string) => spawnSync(program, ["--version"]).error !== undefined;

  it.skipIf(isMissing("curl"))("with curl brings a drift run with its checks to a decision", async () => {
    const { stdout } = await execute("sh", [pathOf("http/events.sh")], {
      env: { ...process.env, RETRIGGER_URL: url, RETRIGGER_TOKEN: token, RUN_ID: "example-1" },
    });
    const [event = "", decision = ""] = stdout.trim().split("\n");
    expect(JSON.parse(event)).toMatchObject({ outcome: "accepted", runId: "example-1", savedChecks: 2 });
    expect(JSON.parse(decision)).toMatchObject({
      model: "default",
      decisionId: expect.any(Number) as number,
    });
  });

  it.skipIf(isMissing("python3")).each(["airflow/drift_monitoring_http.py", "http/evidently_report.py"])(
    "in Python can be parsed: %s",
    async (name) => {
      const parse = "import ast, sys; print(len(ast.parse(open(sys.argv[1]).read()).body))";
      const { stdout } = await execute("python3", ["-c", parse, pathOf(name)]);
      expect(Number(stdout)).toBeGreaterThan(3);
    },
  );

  it.skipIf(isMissing("python3"))("for Airflow sends an event again until it is taken", async () => {
    const script = `
import json, sys, time, types
calls = []
class Response:
    def __init__(self, status): self.status_code = status
    def raise_for_status(self): assert self.status_code < 400
def post(url, json, headers, timeout):
    calls.append((url, json))
    return Response([503, 202][len(calls) - 1])
sys.modules["requests"] = types.SimpleNamespace(post=post, ConnectionError=OSError, Timeout=TimeoutError)
time.sleep = lambda seconds: None
exec(open(sys.argv[1]).read())
on_success({"dag_run": types.SimpleNamespace(run_id="scheduled__1")})
print(json.dumps([len(calls), *calls[0]]))
`;
    const { stdout } = await execute("python3", ["-c", script, pathOf("airflow/drift_monitoring_http.py")], {
      env: { ...process.env, RETRIGGER_URL: "http://r", RETRIGGER_TOKEN: "t" },
    });
    expect(JSON.parse(stdout)).toEqual([
      2,
      "http://r/api/v1/events",
      { runId: "scheduled__1", model: "default", status: "success", source: "airflow" },
    ]);
  });
});
