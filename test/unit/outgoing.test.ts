import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { stateOfTraining } from "../../src/core/dispatch/dispatch.ts";
import { splitLogin } from "../../src/outgoing/login.ts";
import { explainNetworkFailure } from "../../src/outgoing/network-failure.ts";
import { findSignatureFault, signBody } from "../../src/outgoing/signature.ts";
import { readWait } from "../../src/outgoing/wait.ts";
import { createGrowingRedactor, createRedactor } from "../../src/process/redact.ts";
import { signedHeaders } from "../support/signed-headers.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const inSeconds = (seconds: number) => String(NOW / 1000 + seconds);

describe("the wait that a server requests", () => {
  it.each([
    [{ "retry-after": "30" }, 30_000],
    [{ "retry-after": "0" }, 1_000],
    [{ "retry-after": "-5" }, 1_000],
    [{ "retry-after": "Tue, 24 Nov 2026 12:01:00 GMT" }, 60_000],
    [{ "retry-after": "999999999" }, 86_400_000],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": inSeconds(90) }, 90_000],
    // The time of the reset is given by the server's clock.
    [
      {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": inSeconds(90),
        date: "Tue, 24 Nov 2026 12:01:00 GMT",
      },
      30_000,
    ],
    [{ "x-ratelimit-remaining": "7", "x-ratelimit-reset": inSeconds(90) }, null],
    [{ "retry-after": "soon" }, null],
    [{}, null],
  ])("%j: %s ms", (headers, waitMs) => {
    expect(readWait(headers, NOW)).toBe(waitMs);
  });
});

describe("a request without a response", () => {
  const reason = (code: string, syscall?: string) =>
    Object.assign(new Error(`${syscall ?? ""} ${code}`), { code, ...(syscall && { syscall }) });
  const failed = (...reasons: unknown[]) =>
    new TypeError("fetch failed", {
      cause: reasons.length === 1 ? reasons[0] : new AggregateError(reasons),
    });
  const refused = reason("ECONNREFUSED", "connect");

  it.each([
    ["the connection was refused", failed(refused), true],
    ["each of two addresses refused", failed(refused, refused), true],
    ["one address refused, the other timed out", failed(refused, reason("ETIMEDOUT", "connect")), true],
    ["there is no route", failed(reason("EHOSTUNREACH", "connect")), true],
    ["there is no network", failed(reason("ENETUNREACH", "connect")), true],
    ["connecting timed out", failed(reason("ETIMEDOUT", "connect")), true],
    ["undici gave up connecting", failed(reason("UND_ERR_CONNECT_TIMEOUT")), true],
    ["the name is unknown", failed(reason("ENOTFOUND", "getaddrinfo")), true],
    ["the name server is away", failed(reason("EAI_AGAIN", "getaddrinfo")), true],
    ["the certificate is self-signed", failed(reason("DEPTH_ZERO_SELF_SIGNED_CERT")), true],
    ["the certificate has expired", failed(reason("CERT_HAS_EXPIRED")), true],
    ["Octokit wraps a refusal", new Error("connect", { cause: failed(refused) }), true],
    ["the route was lost on an open connection", failed(reason("EHOSTUNREACH", "read")), false],
    ["the route was lost while writing", failed(reason("EHOSTUNREACH", "write")), false],
    ["the network was lost on an open connection", failed(reason("ENETUNREACH", "read")), false],
    ["an open connection timed out", failed(reason("ETIMEDOUT", "read")), false],
    ["an open connection was refused", failed(reason("ECONNREFUSED", "read")), false],
    ["the code stands alone", failed(reason("EHOSTUNREACH")), false],
    ["the connection was reset", failed(reason("ECONNRESET", "read")), false],
    ["the pipe broke", failed(reason("EPIPE", "write")), false],
    ["the other side closed", failed(reason("UND_ERR_SOCKET")), false],
    ["the headers took too long", failed(reason("UND_ERR_HEADERS_TIMEOUT")), false],
    ["one address refused, the other was reset", failed(refused, reason("ECONNRESET", "read")), false],
    [
      "one address refused, and the error of the other one is unknown",
      failed(refused, new Error("unknown")),
      false,
    ],
    ["no address was tried", new TypeError("fetch failed", { cause: new AggregateError([]) }), false],
    ["our own limit", new DOMException("The operation was aborted due to timeout", "TimeoutError"), false],
    ["an error without a code", new Error("unknown"), false],
    ["no error at all", "not even an error", false],
  ])("%s", (_, error, isUnsent) => {
    expect(explainNetworkFailure(error).isUnsent).toBe(isUnsent);
  });

  /** Starts a server that reads a request and then calls `respond`. */
  async function withServer(respond: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
    const server = createServer((request, response) => {
      request.resume().on("end", () => respond(request, response));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  async function explainPost(url: string) {
    try {
      await (await fetch(url, { method: "POST", body: "train" })).text();
    } catch (error) {
      return explainNetworkFailure(error);
    }
    throw new Error("The request got a response");
  }

  it("was not sent if nothing listens on the port", async () => {
    let url = "";
    await withServer(
      () => {},
      async (own) => void (url = own),
    );
    expect(await explainPost(url)).toMatchObject({ isUnsent: true });
  });

  it("was not sent if the host name does not exist", async () => {
    expect(await explainPost("http://no.such.host.invalid/")).toMatchObject({ isUnsent: true });
  });

  it("may have been sent if the connection is reset after the request was read", async () => {
    await withServer(
      ({ socket }) => socket.resetAndDestroy(),
      async (url) => expect(await explainPost(url)).toMatchObject({ isUnsent: false }),
    );
  });

  it("may have been sent if a reused connection is closed", async () => {
    const sockets = new Set<Socket>();
    let received = 0;
    await withServer(
      ({ socket }, response) => {
        received += 1;
        sockets.add(socket);
        if (received === 1) response.end("first");
        else socket.resetAndDestroy();
      },
      async (url) => {
        await (await fetch(url, { method: "POST", body: "train" })).text();
        // The connection is reusable only in the next turn of the event loop.
        await setImmediate();
        expect(await explainPost(url)).toMatchObject({ isUnsent: false });
      },
    );
    expect({ received, connections: sockets.size }).toEqual({ received: 2, connections: 1 });
  });
});

describe("the redactor", () => {
  it("replaces a secret by the name of its setting, in every form in which it may appear", () => {
    const pem = `-----BEGIN KEY-----\n${"A".repeat(64)}\n-----END KEY-----\n`;
    const redact = createRedactor(
      new Map([
        ["A", 'se"cr/et value'],
        ["B", 'se"cr/et value longer'],
        ["KEY", pem],
      ]),
    );
    expect(redact('x se"cr/et value y')).toBe("x [A] y");
    expect(redact('se"cr/et value longer')).toBe("[B]");
    expect(redact(encodeURIComponent('se"cr/et value'))).toBe("[A]");
    expect(redact(JSON.stringify({ a: 'se"cr/et value' }))).toBe('{"a":"[A]"}');
    expect(redact(`line ${"A".repeat(64)}`)).toBe("line [KEY]");
    expect(redact(`token ghs_${"x".repeat(36)}`)).toBe("token [GitHub token]");
    expect(redact("nothing of it")).toBe("nothing of it");
  });
});

describe("the redactor, for a secret that another program has encoded,", () => {
  const SECRETS = new Map([
    ["A", "a&b<c>'d'\"e/f g+é=\\%"],
    ["PLAIN", "plain-secret-0815"],
    ["password of DATABASE_URL", "p@ss'wörd"],
  ]);
  const redact = createRedactor(SECRETS);
  const json = (text: string) => JSON.stringify(text).slice(1, -1);
  const html = (text: string) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
  const lower = (text: string) => text.replaceAll(/%../g, (code) => code.toLowerCase());

  it.each<[string, (text: string) => string]>([
    ["plain", (text) => text],
    ["in JSON", json],
    ["twice in JSON", (text) => json(json(text))],
    ["in JSON by Python", (text) => json(text).replaceAll("é", "\\u00e9").replaceAll("ö", "\\u00f6")],
    ["in a URL", encodeURIComponent],
    ["in a URL in lower case", (text) => lower(encodeURIComponent(text))],
    ["twice in a URL", (text) => encodeURIComponent(encodeURIComponent(text))],
    ["in a form", (text) => new URLSearchParams({ key: text }).toString().slice("key=".length)],
    ["in HTML", html],
    ["in HTML with quotes", (text) => html(text).replaceAll("'", "&#39;")],
    ["in HTML in JSON", (text) => json(html(text))],
    ["in JSON in HTML", (text) => html(json(text))],
    ["in hex", (text) => Buffer.from(text).toString("hex")],
    ["in hex in upper case", (text) => Buffer.from(text).toString("hex").toUpperCase()],
  ])("finds it %s", (_, encode) => {
    for (const [name, secret] of SECRETS) expect(redact(`x ${encode(secret)} y`)).toBe(`x [${name}] y`);
  });

  it("finds it in base64, whatever stands before and after it, as in a Basic header", () => {
    for (const before of ["", "u", "me:", "user:", "a longer user:"])
      for (const after of ["", "!", "!!"])
        for (const [name, secret] of SECRETS)
          for (const encoding of ["base64", "base64url"] as const) {
            const shown = redact(`Basic ${Buffer.from(before + secret + after).toString(encoding)}`);
            expect(shown).toContain(`[${name}]`);
            const rest = shown.replace("Basic ", "").replace(`[${name}]`, "");
            expect(rest.length).toBeLessThanOrEqual(Math.ceil(((before + after).length * 8) / 6) + 5);
          }
  });

  it("leaves ordinary text alone, and secrets that are too short to be told from it", () => {
    const careless = createRedactor(new Map([["password of DATABASE_URL", "train"]]));
    expect(careless("the training trains")).toBe("the training trains");
    expect(redact("plain text, a & b")).toBe("plain text, a & b");
  });

  it("finds several, also side by side, and in a long text", () => {
    const filler = "x".repeat(10_000);
    expect(redact(`${filler}plain-secret-0815plain-secret-0815${filler}`)).toBe(
      `${filler}[PLAIN][PLAIN]${filler}`,
    );
  });

  it("keeps up with the log: a line costs little, even with a thousand secrets", () => {
    const secretsOf = (count: number) =>
      new Map([...Array(count).keys()].map((index) => [`S${index}`, randomBytes(24).toString("hex")]));
    const redactors = [createRedactor(secretsOf(1)), createRedactor(secretsOf(1_000))];
    const line = JSON.stringify({
      level: 30,
      msg: "stage completed",
      model: "default",
      text: "y".repeat(300),
    });
    // The shortest of several rounds: a busy machine delays some of them.
    const [one = 0, many = 0] = redactors.map((redact) =>
      Math.min(
        ...[...Array(10).keys()].map(() => {
          const begun = performance.now();
          for (let index = 0; index < 200; index += 1) redact(line);
          return performance.now() - begun;
        }),
      ),
    );
    // To search for each secret by itself would take some hundred times as long.
    expect(many / one).toBeLessThan(30);
  });

  it("learns of more secrets, and forgets none that a setting had before", () => {
    const growing = createGrowingRedactor(new Map([["A", "the first secret"]]));
    growing.add(new Map([["A", "the second secret"]]));
    expect(growing.redact("the first secret, the second secret")).toBe("[A], [A]");
  });
});

describe("the secrets of the settings", () => {
  const secretsOf = (settings: Record<string, string>) =>
    parseConfig({ DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost", ...settings })
      .secrets;

  it("include the path and the query of TRAINER_URL, but no ordinary part of them", () => {
    const secrets = secretsOf({
      TRAINER: "webhook",
      TRAINER_URL:
        "https://jobs.example/api/hooks/a%2FtokenOfSixteen0815?token=short-1&env=production&q=0123456789abcdef",
      TRAINER_SECRET: "a secret of both sides",
      TRAINER_OUTCOME: "accepted",
    });
    expect([...secrets.values()].toSorted()).toEqual(
      ["a/tokenOfSixteen0815", "short-1", "0123456789abcdef", "a secret of both sides"].toSorted(),
    );
    const redact = createRedactor(secrets);
    expect(redact("POST /api/hooks/a%2FtokenOfSixteen0815?token=short-1")).toBe(
      "POST /api/hooks/[part 3 of the path of TRAINER_URL]?token=[token of TRAINER_URL]",
    );
  });

  it("include the parts of a webhook of Slack, which an error may show without the rest", () => {
    const redact = createRedactor(
      secretsOf({ SLACK_WEBHOOK_URL: "https://hooks.slack.com/services/T0/B0/tokenOfSlack0123456789" }),
    );
    expect(redact("no_team: /services/T0/B0/tokenOfSlack0123456789")).not.toContain("tokenOfSlack");
  });

  it("include what TRAINER_COMMAND_ENVIRONMENT passes on, except for paths and switches", () => {
    const secrets = secretsOf({
      TRAINER: "command",
      TRAINER_COMMAND: '["python"]',
      TRAINER_COMMAND_ENVIRONMENT: "PATH,API_KEY,MODE,DATA_DIR,STORE,OPAQUE",
      PATH: "/usr/local/bin:/usr/bin",
      API_KEY: "key-0815",
      MODE: "production",
      DATA_DIR: "/srv/data/of/the/training",
      STORE: "s3://user:pass-of-store@host/bucket",
      OPAQUE: "0123456789abcdef",
      OTHER_KEY: "not passed on: 0815",
    });
    expect(Object.fromEntries(secrets)).toEqual({
      API_KEY: "key-0815",
      OPAQUE: "0123456789abcdef",
      "password of STORE": "pass-of-store",
    });
  });

  it("include a login whose password is the user name, as a whole", () => {
    const redact = createRedactor(secretsOf({ DATABASE_URL: "postgres://retrigger:retrigger@localhost/db" }));
    const header = `Basic ${Buffer.from("retrigger:retrigger").toString("base64")}`;
    expect(redact(`${header}, retrigger`)).toBe("Basic [login of DATABASE_URL]g==, retrigger");
  });

  it("are not quoted by a fault of GITHUB_EXTRA_INPUTS", () => {
    expect(() => secretsOf({ GITHUB_EXTRA_INPUTS: '{"token":"secret-0815"' })).toThrow(
      /GITHUB_EXTRA_INPUTS must be/,
    );
    expect(() => secretsOf({ GITHUB_EXTRA_INPUTS: '{"token":"secret-0815"' })).not.toThrow("0815");
  });
});

describe("a signature", () => {
  const SECRET = "a secret of both sides";
  const BODY = '{"status":"completed"}';
  const timestamp = inSeconds(0);
  const faultOf = (headers: Record<string, string | undefined>, body: string | Buffer = BODY, now = NOW) => {
    const lower = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    return findSignatureFault(
      ["another secret", SECRET],
      Buffer.from(body),
      (name) => lower.get(name.toLowerCase()),
      now,
    );
  };

  it("is the HMAC-SHA256 of timestamp, dot and body, as openssl computes it", () => {
    // printf %s '1764000000.{}' | openssl dgst -sha256 -hmac 'a secret of both sides'
    expect(signBody(SECRET, "{}", 1_764_000_000_999)).toEqual({
      "X-Retrigger-Timestamp": "1764000000",
      "X-Retrigger-Signature-256": "sha256=0fa384d905402840033980db5f80fe8c8d42257b225c888456252b0113275c91",
    });
    expect(signBody(null, "{}")).toEqual({});
  });

  it("is accepted for 300 s either way, and no longer", () => {
    const headers = signBody(SECRET, BODY, NOW);
    for (const offset of [-300, 0, 300]) expect(faultOf(headers, BODY, NOW + offset * 1000)).toBeNull();
    expect(faultOf(headers, BODY, NOW + 301_000)).toContain(
      "X-Retrigger-Timestamp is 301 s old, at most 300 s",
    );
    expect(faultOf(headers, BODY, NOW - 301_000)).toContain("X-Retrigger-Timestamp is 301 s ahead");
  });

  it("covers the timestamp: an old request cannot be given a new one", () => {
    const old = signBody(SECRET, BODY, NOW - 3_600_000);
    expect(faultOf({ ...old, "X-Retrigger-Timestamp": timestamp })).toContain("missing or wrong");
  });

  it("of the body alone, as it was before, is refused; the message says what to send", () => {
    const digest = createHmac("sha256", SECRET).update(BODY).digest("hex");
    const old = { "X-Retrigger-Signature-256": `sha256=${digest}` };
    expect(faultOf(old)).toBe(
      'X-Retrigger-Timestamp is missing: send the time in Unix seconds, and sign "<timestamp>.<body>" instead of the body alone',
    );
    expect(faultOf({ ...old, "X-Retrigger-Timestamp": timestamp })).toContain("missing or wrong");
  });

  it.each(["", "soon", "-1", "1e9", "0x7f", " ", "9".repeat(400), "1764000000.5"])(
    "with the timestamp %j is refused",
    (text) => expect(faultOf({ ...signedHeaders(SECRET, BODY, text) })).toContain("X-Retrigger-Timestamp is"),
  );

  it.each([
    undefined,
    "",
    "sha256=",
    "sha256=00",
    "sha1=00",
    `sha256=${"ä".repeat(64)}`,
    `sha256=${"0".repeat(64)}`,
  ])("%j is wrong", (signature) =>
    expect(faultOf({ ...signBody(SECRET, BODY, NOW), "X-Retrigger-Signature-256": signature })).toContain(
      "missing or wrong",
    ),
  );

  it("covers the bytes of the body, not what they decode to", () => {
    const [bytes, others] = [Buffer.from([0x7b, 0xff, 0x7d]), Buffer.from([0x7b, 0xfe, 0x7d])];
    const headers = signedHeaders(SECRET, bytes, timestamp);
    expect(bytes.toString()).toBe(others.toString());
    expect(faultOf(headers, bytes)).toBeNull();
    expect(faultOf(headers, others)).toContain("missing or wrong");
  });
});

describe("a URL with a login", () => {
  it("is split into a URL without a login and a header", () => {
    const { url, headers } = splitLogin("https://me:p%40ss@host/path?q=1");
    expect(url.href).toBe("https://host/path?q=1");
    expect(headers).toEqual({ authorization: `Basic ${Buffer.from("me:p@ss").toString("base64")}` });
    expect(splitLogin("https://host/").headers).toEqual({});
  });
});

describe("the state of a training", () => {
  it.each([
    ["queued", null, "sent"],
    ["waiting", null, "sent"],
    ["a word of next year", null, "sent"],
    ["in_progress", null, "running"],
    ["completed", "success", "succeeded"],
    ["completed", "cancelled", "cancelled"],
    ["completed", "failure", "failed"],
    ["completed", "timed_out", "failed"],
    ["completed", "a word of next year", "failed"],
    ["completed", null, "failed"],
  ])("%s, %s: %s", (status, conclusion, state) => {
    expect(stateOfTraining(status, conclusion)).toBe(state);
  });
});
