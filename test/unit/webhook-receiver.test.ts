import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { createRedactor } from "../../src/process/redact.ts";
import { createTrainers } from "../../src/trainers/registry.ts";
import type { RemoteTrainer, Trainer } from "../../src/trainers/trainer.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const KEY = "01a20000-0000-7000-8000-000000000000";

let receiver: Receiver;
let elsewhere: Receiver;
beforeEach(async () => {
  [receiver, elsewhere] = await Promise.all([startReceiver(), startReceiver()]);
});
afterEach(() => Promise.all([receiver.close(), elsewhere.close()]));

async function createTrainer(
  settings: Record<string, string> = {},
): Promise<{ trainer: Trainer; remote: RemoteTrainer }> {
  const config = parseConfig({
    DATABASE_URL: "postgres://localhost/db",
    REDIS_URL: "redis://localhost",
    TRAINER: "webhook",
    TRAINER_URL: `${receiver.url}/train`,
    TRAINER_SECRET: "a secret of both sides",
    TRAINER_OUTCOME: "status_url",
    ...settings,
  });
  const trainer = (await createTrainers(config, createRedactor(config.secrets))).of("default");
  if (!trainer.remote) throw new Error("the trainer is not remote");
  return { trainer, remote: trainer.remote };
}

async function send(settings: Record<string, string> = {}) {
  const { trainer, remote } = await createTrainer(settings);
  const order = { runId: KEY, model: "default", reason: "test", driftScore: 0.1, bufferSize: 1 };
  return remote.request({ key: KEY, request: trainer.renderRequest(order) });
}

async function poll(statusUrl: string, settings: Record<string, string> = {}) {
  const { remote } = await createTrainer(settings);
  return remote.poll({ key: KEY, model: "default", externalId: "1", url: null, statusUrl, etag: null });
}

describe("a redirect", () => {
  const target = () => `${elsewhere.url}/login?token=token-of-the-redirect`;
  const redirect = (status: number) => {
    receiver.respond = (_, response) => response.writeHead(status, { location: target() }).end();
  };

  it.each([301, 302, 303, 307, 308])(
    "of a request (%i) is refused; the error names the target without its query",
    async (status) => {
      redirect(status);
      const result = await send();
      expect(result).toMatchObject({ outcome: "rejected" });
      const message = "message" in result ? result.message : "";
      expect(message).toContain(
        `${status}: it redirects to ${elsewhere.url}/login, and redirects are not followed`,
      );
      expect(message).not.toContain("token-of-the-redirect");
      expect(elsewhere.received).toEqual([]);
    },
  );

  it("of a status URL is refused, and the error names the target without its query", async () => {
    redirect(302);
    await expect(poll(`${receiver.url}/jobs/1`)).rejects.toThrow(
      `it redirects to ${elsewhere.url}/login, and`,
    );
    await expect(poll(`${receiver.url}/jobs/1`)).rejects.not.toThrow("token-of-the-redirect");
    expect(elsewhere.received).toEqual([]);
  });

  it("does not show a secret that its target repeats in the path", async () => {
    const token = "Zm9vYmFyLXRva2VuLTA4MTU";
    receiver.respond = ({ path }, response) =>
      response.writeHead(308, { location: `${elsewhere.url}${path}/` }).end(`moved: ${path}`);
    const result = await send({ TRAINER_URL: `${receiver.url}/hooks/${token}` });
    expect(result).toMatchObject({ outcome: "rejected" });
    expect(JSON.stringify(result)).not.toContain(token);
  });
});

describe("a response that quotes a secret", () => {
  const SECRET = "a secret of both sides";
  const LOGIN = { TRAINER_URL: "" };
  beforeEach(() => {
    LOGIN.TRAINER_URL = `${receiver.url.replace("//", "//me:pass-word-0815@")}/train`;
  });

  it("is redacted before it is cut: no part of a secret remains", async () => {
    for (const start of [270, 280, 290, 299]) {
      receiver.respond = (_, response) => response.writeHead(400).end("x".repeat(start) + SECRET);
      const result = await send();
      expect("message" in result ? result.message : "").not.toMatch(/xa/);
    }
  });

  it("as its own Basic header does not reveal the password", async () => {
    receiver.respond = ({ headers }, response) => response.writeHead(401).end(headers["authorization"]);
    const result = await send(LOGIN);
    expect(JSON.stringify(result)).toContain("[password of TRAINER_URL]");
    expect(JSON.stringify(result)).not.toContain(
      Buffer.from("pass-word-0815").toString("base64").slice(0, 8),
    );
  });

  it("as the id or page of the training records neither", async () => {
    receiver.respond = (_, response) =>
      response.end(JSON.stringify({ id: `job of ${SECRET}`, url: `https://jobs.example/pass-word-0815` }));
    expect(await send(LOGIN)).toMatchObject({
      outcome: "accepted",
      training: { externalId: "job of [TRAINER_SECRET]", url: null },
    });
  });
});

describe("a status URL", () => {
  const runs = () => {
    for (const server of [receiver, elsewhere])
      server.respond = (_, response) => response.end(JSON.stringify({ status: "in_progress" }));
  };

  it("on another server is not read, and the error names the setting that allows it", async () => {
    runs();
    expect(await poll(`${elsewhere.url}/jobs/1?token=0815`)).toEqual({
      outcome: "gone",
      message: `The status URL is on ${elsewhere.url}, which is not the server of TRAINER_URL. If it is yours, add it to TRAINER_STATUS_ORIGINS`,
    });
    expect(elsewhere.received).toEqual([]);
  });

  it("on another server is read if TRAINER_STATUS_ORIGINS lists the server", async () => {
    runs();
    const settings = { TRAINER_STATUS_ORIGINS: `https://jobs.example, ${elsewhere.url}` };
    expect(await poll(`${elsewhere.url}/jobs/1`, settings)).toMatchObject({ status: "in_progress" });
    expect(elsewhere.received[0]?.headers["authorization"]).toBeUndefined();
  });

  it("on the same host but with another scheme or port is on another server", async () => {
    for (const url of [receiver.url.replace("http:", "https:"), "http://127.0.0.1:1"])
      expect(await poll(`${url}/jobs/1`)).toMatchObject({ outcome: "gone" });
  });

  it("with a user name or password is not read", async () => {
    runs();
    const url = receiver.url.replace("//", "//user:password@");
    expect(await poll(`${url}/jobs/1`)).toEqual({
      outcome: "gone",
      message: "The status URL must not contain a user name or password",
    });
    const { remote } = await createTrainer();
    expect(() => remote.identify(`${url}/jobs/1`)).toThrow("without a user name or password");
    expect(() => remote.identify(`${elsewhere.url}/jobs/1`)).toThrow("TRAINER_STATUS_ORIGINS");
    expect(receiver.received).toEqual([]);
  });

  it("on the server of TRAINER_URL is read with its login", async () => {
    runs();
    const login = { TRAINER_URL: `${receiver.url.replace("//", "//me:pass-word@")}/train` };
    await poll(`${receiver.url}/jobs/1`, login);
    expect(receiver.received[0]?.headers["authorization"]).toBe(
      `Basic ${Buffer.from("me:pass-word").toString("base64")}`,
    );
    await poll(`${elsewhere.url}/jobs/1`, { ...login, TRAINER_STATUS_ORIGINS: elsewhere.url });
    expect(elsewhere.received[0]?.headers["authorization"]).toBeUndefined();
  });

  it.each(["ftp://jobs.example", "https://jobs.example/path", "https://u:p@jobs.example", "jobs.example"])(
    "cannot be allowed by %s, which is no origin",
    (origin) =>
      expect(createTrainer({ TRAINER_STATUS_ORIGINS: origin })).rejects.toThrow(
        "TRAINER_STATUS_ORIGINS must be origins such as https://jobs.example.com, separated by commas",
      ),
  );

  it.each([
    ["u:%zz@", "its login cannot be decoded"],
    ["u:hidden-pass@", "it has a login"],
  ])("in a response is recorded without %s if %s", async (login) => {
    receiver.respond = (_, response) =>
      response.end(JSON.stringify({ id: "1", status_url: receiver.url.replace("//", `//${login}`) }));
    const result = await send();
    expect(result).toMatchObject({ outcome: "accepted", training: { statusUrl: `${receiver.url}/` } });
  });
});
