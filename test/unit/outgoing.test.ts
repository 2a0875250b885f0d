import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { stateOfTraining } from "../../src/core/dispatch/dispatch.ts";
import { splitLogin } from "../../src/outgoing/login.ts";
import { explainNetworkFailure } from "../../src/outgoing/network-failure.ts";
import { readWait } from "../../src/outgoing/wait.ts";
import { createRedactor } from "../../src/process/redact.ts";

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
