import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { INBOX, INBOX_JOBS, STAGES, TRAINING } from "../../queues/names.ts";
import { type CollectedSpan, type Collector, startCollector } from "../support/collector.ts";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";
import { startService } from "../support/service-process.ts";
import { until, withQueue } from "../support/world.ts";

let world: GitHubWorld;
let collector: Collector;
let service: ReturnType<typeof startService> | undefined;
beforeEach(async () => {
  world = await createGitHubWorld({ TRAINING_POLL_SECONDS: "1" });
  collector = await startCollector();
});
afterEach(async () => {
  await stopService();
  await closeGitHubWorld(world);
  await collector.close();
});

/** Starts the service in a process of its own: a process has one OpenTelemetry. */
async function startTraced(changes: Record<string, string> = {}): Promise<void> {
  service = startService(world, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    ...changes,
  });
  await service.untilReady();
}

async function stopService(): Promise<void> {
  const child = service?.child;
  service = undefined;
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}

const listTraces = (spans: readonly CollectedSpan[]) => [...new Set(spans.map(({ traceId }) => traceId))];

/** The spans in which jobs of a queue were processed. */
const listProcessed = (queue: string) => collector.spans.filter(({ name }) => name === `process ${queue}`);

describe("with OTEL_EXPORTER_OTLP_ENDPOINT,", () => {
  it("one trace leads from the event through the chain and the delayed training job to its end", async () => {
    world.github.course = { queuedMs: 0, runningMs: 600_000, conclusion: "success" };
    await startTraced();
    const { runId } = await world.decide();
    await withQueue(world, TRAINING, (queue) =>
      until("the training is polled again", async () => {
        const job = await queue.getJob(runId);
        return job !== undefined && job.attemptsStarted > 1;
      }),
    );
    for (const run of world.github.runs) run.course.runningMs = 0;
    expect(await world.waitForTraining(runId)).toMatchObject({ state: "succeeded" });
    await stopService();
    for (const queue of [INBOX, ...STAGES]) expect(listProcessed(queue), queue).toHaveLength(1);
    expect(listProcessed(TRAINING).length).toBeGreaterThan(1);
    expect(listTraces(collector.spans)).toHaveLength(1);
    const ids = new Set(collector.spans.map(({ spanId }) => spanId));
    const roots = collector.spans.filter(({ parentSpanId = "" }) => !ids.has(parentSpanId));
    expect(roots.map(({ name }) => name)).toEqual([`process ${INBOX}`]);
    expect([...collector.services]).toEqual(["retrigger"]);
    // BullMQ attaches the result of a job, evidence and all.
    const longest = collector.spans.flatMap(({ events = [] }) =>
      events.flatMap(({ attributes = [] }) =>
        attributes.map(({ value }) => (value.stringValue ?? "").length),
      ),
    );
    expect(Math.max(...longest)).toBe(1_024);
  });

  it("each scheduled run has a trace of its own", async () => {
    await startTraced({ SCHEDULE: "* * * * * *", OTEL_SERVICE_NAME: "retrigger-test" });
    await until("three scheduled decisions", async () => (await world.decisions()).length >= 3);
    await stopService();
    const scheduled = listProcessed(INBOX).filter(({ attributes }) =>
      attributes.some(({ value }) => value["stringValue"] === INBOX_JOBS.schedule),
    );
    expect(scheduled.length).toBeGreaterThanOrEqual(3);
    expect(listTraces(scheduled)).toHaveLength(scheduled.length);
    expect([...collector.services]).toEqual(["retrigger-test"]);
  });

  it("a collector that is away delays nothing, and is logged once", async () => {
    await collector.close();
    await startTraced({ OTEL_EXPORTER_OTLP_TIMEOUT: "200" });
    const logged = "traces could not be delivered";
    for (let count = 1; count <= 3; count += 1) {
      const startedAt = Date.now();
      await world.decide();
      expect(Date.now() - startedAt).toBeLessThan(5_000);
      await service?.untilLogged(logged);
    }
    const warnings = service?.warnings().filter((message) => message.includes(logged));
    const stoppedAt = Date.now();
    await stopService();
    expect(Date.now() - stoppedAt).toBeLessThan(5_000);
    expect(warnings).toHaveLength(1);
  });
});
