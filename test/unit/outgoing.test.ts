import { describe, expect, it } from "vitest";
import { stateOfTraining } from "../../src/core/dispatch.ts";
import { splitLogin } from "../../src/outgoing/login.ts";
import { explainNetworkFailure } from "../../src/outgoing/network-failure.ts";
import { readWait } from "../../src/outgoing/wait.ts";
import { createRedactor } from "../../src/redact.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const inSeconds = (seconds: number) => String(NOW / 1000 + seconds);

describe("the wait that a server asks for", () => {
  it.each([
    [{ "retry-after": "30" }, 30_000],
    [{ "retry-after": "0" }, 1_000],
    [{ "retry-after": "-5" }, 1_000],
    [{ "retry-after": "Tue, 24 Nov 2026 12:01:00 GMT" }, 60_000],
    [{ "retry-after": "999999999" }, 86_400_000],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": inSeconds(90) }, 90_000],
    // The server's clock is what its reset is told by.
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

describe("a request without an answer", () => {
  const failed = (...codes: string[]) => {
    const causes = codes.map((code) => Object.assign(new Error(`connect ${code}`), { code }));
    return new TypeError("fetch failed", {
      cause: causes.length === 1 ? causes[0] : new AggregateError(causes),
    });
  };

  it.each([
    [failed("ECONNREFUSED"), true],
    [failed("ECONNREFUSED", "ECONNREFUSED"), true],
    [failed("ENOTFOUND"), true],
    [failed("UND_ERR_CONNECT_TIMEOUT"), true],
    [failed("ECONNRESET"), false],
    [failed("ECONNREFUSED", "ETIMEDOUT"), false],
    [failed("UND_ERR_SOCKET"), false],
    [new DOMException("The operation was aborted due to timeout", "TimeoutError"), false],
    [new Error("who knows"), false],
    ["not even an error", false],
  ])("%s: certainly not sent: %s", (error, isUnsent) => {
    expect(explainNetworkFailure(error).isUnsent).toBe(isUnsent);
  });
});

describe("the redactor", () => {
  it("puts the setting's name in the place of its value, in whatever form it stands", () => {
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
  it("becomes one without, and a header", () => {
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
