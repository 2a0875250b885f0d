import { createHmac } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { App } from "../../src/app.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { signatureOf, signedHeaders } from "../support/signed-headers.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

const SECRET = "a secret of both sides";

let world: World;
let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
  world = await createWorld({
    settings: {
      MIN_BUFFER_SIZE: "0",
      TRAINER: "webhook",
      TRAINER_URL: `${receiver.url}/train?key=key-in-the-query-0815`,
      TRAINER_SECRET: SECRET,
      PUBLIC_URL: "http://retrigger.example",
    },
  });
  await addCheck(world);
});
afterEach(async () => {
  await world.close();
  await receiver.close();
});

function start(timing: object = {}): Promise<App> {
  const quick = { ...world.config.timing, searchMs: 3_000, pollMs: 250, ...timing };
  return world.startApp({ role: "all", timing: quick });
}

async function postOutcome(
  app: App,
  runId: string,
  outcome: object,
  secret = SECRET,
  about = runId,
): Promise<Response> {
  const body = JSON.stringify({ decision_id: about, ...outcome });
  return fetch(`${app.address()}/api/v1/trainings/${runId}/outcome`, {
    method: "POST",
    body,
    headers: signedHeaders(secret, body),
  });
}

function post(app: App, runId: string, body: string | Buffer, headers: Record<string, string>) {
  const url = `${app.address()}/api/v1/trainings/${runId}/outcome`;
  return fetch(url, {
    method: "POST",
    body: typeof body === "string" ? body : new Uint8Array(body),
    headers,
  });
}

const state = async () =>
  (await world.sql("SELECT state FROM retraining_dispatches ORDER BY id DESC LIMIT 1"))[0]?.["state"];

describe("the webhook trainer", () => {
  it("posts one signed CloudEvent with an Idempotency-Key, and polls the status URL from the response", async () => {
    let status: object = { status: "in_progress" };
    receiver.respond = ({ method }, response) => {
      response.setHeader("content-type", "application/json");
      const job = { id: "job-7", url: "https://jobs.example/7", status_url: `${receiver.url}/jobs/7` };
      response.writeHead(method === "POST" ? 202 : 200).end(JSON.stringify(method === "POST" ? job : status));
    };
    await start();
    const { runId, dispatch } = await world.decide();
    expect(dispatch).toMatchObject({ state: "sent", externalId: "job-7", url: "https://jobs.example/7" });
    const [request] = receiver.received;
    expect(request).toMatchObject({
      path: "/train?key=key-in-the-query-0815",
      headers: { "idempotency-key": runId, "content-type": "application/cloudevents+json; charset=utf-8" },
    });
    const timestamp = request?.headers["x-retrigger-timestamp"] ?? "";
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
    expect(signatureOf(request?.headers)).toEqual(signedHeaders(SECRET, request?.body ?? "", timestamp));
    expect(JSON.parse(request?.body ?? "")).toEqual({
      specversion: "1.0",
      id: runId,
      source: "/retrigger",
      type: "retrigger.training.requested",
      subject: "default",
      datacontenttype: "application/json",
      data: {
        reason: "drift_detected",
        drift_score: 0.0975,
        buffer_size: 0,
        decision_id: runId,
        model: "default",
        outcome_url: `http://retrigger.example/api/v1/trainings/${runId}/outcome`,
      },
    });
    await until("it runs", async () => (await state()) === "running");
    status = { status: "completed", conclusion: "success", duration_seconds: 12.5 };
    const training = await world.client.waitForTraining(runId, { limitMs: 10_000 });
    expect(training).toMatchObject({ state: "succeeded", durationSeconds: 12.5 });
    expect(receiver.received.filter(({ method }) => method === "POST")).toHaveLength(1);
    // The query of the address may hold a secret, which must not leave the settings.
    expect(JSON.stringify(dispatch)).not.toContain("in-the-query");
  });

  it("accepts the outcome by a signed callback, once, and only for the training that it names", async () => {
    const app = await start();
    const { runId } = await world.decide();
    expect(
      (await postOutcome(app, runId, { status: "completed", conclusion: "success" }, "not the secret"))
        .status,
    ).toBe(401);
    const other = "01a20000-0000-7000-8000-000000000000";
    expect(
      (await postOutcome(app, runId, { status: "completed", conclusion: "success" }, SECRET, other)).status,
    ).toBe(400);
    expect((await postOutcome(app, other, { status: "completed", conclusion: "success" })).status).toBe(404);
    expect((await postOutcome(app, runId, { status: "completed", conclusion: 7 })).status).toBe(400);
    expect(await state()).toBe("sent");

    expect(await (await postOutcome(app, runId, { status: "in_progress" })).json()).toEqual({
      recorded: true,
    });
    expect(await state()).toBe("running");
    expect(
      await (await postOutcome(app, runId, { status: "completed", conclusion: "success" })).json(),
    ).toEqual({
      recorded: true,
    });
    expect((await world.client.waitForTraining(runId, { limitMs: 10_000 })).state).toBe("succeeded");
    expect(
      await (await postOutcome(app, runId, { status: "completed", conclusion: "failure" })).json(),
    ).toEqual({
      recorded: false,
    });
    expect(await state()).toBe("succeeded");
  });

  it("is not revived or ended by a callback that is replayed, or signed without a time", async () => {
    const app = await start();
    const { runId } = await world.decide();
    await world.sql(
      "UPDATE retraining_dispatches SET state = 'failed', reason_code = 'lost', conclusion = 'lost', ended_at = now()",
    );
    const body = JSON.stringify({ decision_id: runId, status: "in_progress" });
    const hourAgo = Math.floor(Date.now() / 1000) - 3_600;
    const old = await post(app, runId, body, signedHeaders(SECRET, body, hourAgo));
    expect({ status: old.status, ...((await old.json()) as object) }).toMatchObject({
      status: 401,
      detail: expect.stringMatching(
        /X-Retrigger-Timestamp is 360\d s old, at most 300 s are accepted/,
      ) as string,
    });
    const plain = `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`;
    const untimed = await post(app, runId, body, { "x-retrigger-signature-256": plain });
    expect({ status: untimed.status, ...((await untimed.json()) as object) }).toMatchObject({
      status: 401,
      detail: expect.stringContaining('sign "<timestamp>.<body>" instead of the body alone') as string,
    });
    expect(await state()).toBe("failed");
    expect((await post(app, runId, body, signedHeaders(SECRET, body))).status).toBe(200);
    expect(await state()).toBe("running");
  });

  it("is told what is wrong with a callback, and ends no training by one that does not say so", async () => {
    const app = await start();
    const { runId } = await world.decide();
    const faultOf = async (body: string | Buffer) => {
      const response = await post(app, runId, body, signedHeaders(SECRET, body));
      return `${response.status} ${await response.text()}`;
    };
    const outcome = (fields: object) => faultOf(JSON.stringify({ decision_id: runId, ...fields }));
    expect(await outcome({})).toMatch(/^400 .*must be \\"completed\\".*at status/);
    expect(await outcome({ conclusion: "success" })).toMatch(/^400 .*at status/);
    expect(await outcome({ status: "comp\0leted" })).toMatch(/^400 .*control characters.*at status/);
    expect(await outcome({ status: "completed", conclusion: "\0" })).toMatch(/^400 .*at conclusion/);
    expect(await outcome({ status: "completed", url: "https://jobs.example/\0" })).toMatch(/^400 .*at url/);
    expect(await outcome({ status: "completed", url: "https://u:p@jobs.example/" })).toMatch(/^400 .*at url/);
    expect(await faultOf("no JSON")).toMatch(/^400 /);
    expect(await faultOf(Buffer.from([0x7b, 0xff, 0x7d]))).toMatch(/^400 .*UTF-8/);
    expect(await faultOf("")).toMatch(/^400 /);
    expect(await state()).toBe("sent");
  });

  it("is not sent a second request if the response is lost; a callback settles the unknown dispatch", async () => {
    receiver.respond = (_, response) => response.destroy();
    const app = await start({ searchMs: 1_000 });
    const { runId, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect(receiver.received).toHaveLength(1);
    await postOutcome(app, runId, { status: "completed", conclusion: "success" });
    expect((await world.client.waitForTraining(runId, { limitMs: 10_000 })).state).toBe("succeeded");
  });

  it("is kept alive by its callbacks, however long the training takes", async () => {
    const app = await start({ lostAfterMs: 4_000 });
    const { runId } = await world.decide();
    const readRow = async () => {
      const [row] = await world.sql<{ lastSeenAt: string; asked: number; silent: number }>(
        `SELECT heard_at::text AS "lastSeenAt", extract(epoch FROM now() - asked_at)::float8 AS asked,
           extract(epoch FROM now() - heard_at)::float8 AS silent FROM retraining_dispatches`,
      );
      if (!row) throw new Error("No dispatch was recorded");
      return row;
    };
    // Without a heartbeat it would be lost after 4 s, and that would be noticed within a quarter of a second.
    while ((await readRow()).asked < 6) {
      await until("a second passed since the last heartbeat", async () => (await readRow()).silent >= 1);
      const { lastSeenAt } = await readRow();
      await postOutcome(app, runId, { status: "in_progress" });
      await until("the heartbeat is in the row", async () => (await readRow()).lastSeenAt !== lastSeenAt);
    }
    expect(await state()).toBe("running");
    await postOutcome(app, runId, { status: "completed", conclusion: "success" });
    expect((await world.client.waitForTraining(runId, { limitMs: 10_000 })).state).toBe("succeeded");
  });

  it("may report the outcome before it responds to the request", async () => {
    let app: App | undefined;
    receiver.respond = ({ headers }, response) => {
      const runId = headers["idempotency-key"] ?? "";
      void (
        app ? postOutcome(app, runId, { status: "completed", conclusion: "success" }) : Promise.resolve()
      ).then(() => response.end(JSON.stringify({ id: "job-8", url: "https://jobs.example/8" })));
    };
    app = await start();
    const { runId, dispatch } = await world.decide();
    expect(dispatch).toMatchObject({
      state: "succeeded",
      externalId: "job-8",
      url: "https://jobs.example/8",
    });
    expect(await world.client.waitForTraining(runId, { limitMs: 10_000 })).toMatchObject({
      state: "succeeded",
    });
  });

  it("reveals no secret of its address if its response quotes the address", async () => {
    receiver.respond = ({ path }, response) => response.writeHead(400).end(`what is ${receiver.url}${path}?`);
    await start();
    const { dispatch } = await world.decide();
    expect(dispatch?.error).toContain("key=[key of TRAINER_URL]");
  });

  it.each([
    [400, "rejected", "no"],
    [307, "rejected", "it redirects to http://127.0.0.1:"],
    [503, "unknown", "no"],
  ])("responding with %i: %s, after one request", async (code, expected, why) => {
    receiver.respond = (_, response) =>
      response.writeHead(code, { location: `${receiver.url}/elsewhere` }).end("no");
    await start({ searchMs: 500 });
    const { dispatch } = await world.decide();
    expect(dispatch).toMatchObject({
      state: expected,
      error: expect.stringContaining(`returned ${code}: ${why}`) as string,
    });
    expect(receiver.received).toHaveLength(1);
  });

  it("is sent the request again after the time that a 429 response gives", async () => {
    receiver.respond = (_, response) => {
      const isFirst = receiver.received.length === 1;
      response.writeHead(isFirst ? 429 : 200, isFirst ? { "retry-after": "1" } : {}).end();
    };
    await start();
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(receiver.received).toHaveLength(2);
  });

  const respondWithJob = (
    status: (path: string) => [number, Record<string, string>, string],
    statusUrl: string,
  ) => {
    receiver.respond = ({ method, path }, response) => {
      if (method === "POST") return response.end(JSON.stringify({ id: "job-9", status_url: statusUrl }));
      const [code, headers, body] = status(path);
      return response.writeHead(code, headers).end(body);
    };
  };
  const silent = async () =>
    (await world.sql("SELECT silent_since FROM retraining_dispatches"))[0]?.["silent_since"] !== null;

  it("does not count a training as ended if its status cannot be parsed", async () => {
    respondWithJob(
      () => [200, {}, JSON.stringify({ state: "RUNNING", progress: 0.1 })],
      `${receiver.url}/jobs/9`,
    );
    await start();
    await world.decide();
    await until("it was polled", silent);
    expect(await state()).toBe("sent");
  });

  it("is not followed to another address, neither by a redirect nor by a changed status URL", async () => {
    const elsewhere = await startReceiver();
    elsewhere.respond = (_, response) =>
      response.end(JSON.stringify({ status: "completed", conclusion: "success" }));
    respondWithJob(() => [302, { location: `${elsewhere.url}/meta-data` }, ""], `${receiver.url}/jobs/9`);
    await start();
    await world.decide();
    await until("it was polled", silent);
    expect({ state: await state(), asked: elsewhere.received.length }).toEqual({ state: "sent", asked: 0 });
    await world.sql("UPDATE retraining_dispatches SET status_url = $1, silent_since = NULL", [
      `${elsewhere.url}/meta-data`,
    ]);
    await until("it was polled again", silent);
    expect(elsewhere.received).toEqual([]);
    await elsewhere.close();
  });

  it("loses a training whose status URL is invalid after the same limit as any other", async () => {
    respondWithJob(() => [200, {}, "{}"], `${receiver.url}/jobs/9`);
    await start({ lostAfterMs: 3_000 });
    await world.decide();
    await world.sql("UPDATE retraining_dispatches SET status_url = 'http://%zz@127.0.0.1:9/x'");
    await until("it is lost", async () => (await state()) === "failed");
  });
});
