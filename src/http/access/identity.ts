import type { BlockList } from "node:net";
import { timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import { type Actor, highestOf, type Role } from "../../core/access.ts";
import type { Database } from "../../postgres/database.ts";
import { sha256 } from "../../postgres/tokens.ts";
import { ask } from "./ask.ts";
import { isLoopback, type Origins } from "./origins.ts";
import { createThrottle } from "./throttle.ts";

/** The settings that decide who a caller is. */
export interface AccessSettings {
  adminToken?: string | undefined;
  trustedProxy?: BlockList | undefined;
  proxyRoles?: ReadonlyMap<string, Role> | undefined;
}

/** A recognized caller, or why there is none. `unknown`: Postgres, which knows the tokens, does not answer. */
export type Identity =
  | { kind: "known"; actor: Actor & { role: Role } }
  | { kind: "anonymous" | "rejected" | "unknown" | "without role"; actor: Actor };

type TokenReader = Pick<Database, "readTokenState" | "findTokenHolder" | "findSessionHolder">;

export interface IdentityDependencies {
  settings: AccessSettings;
  database: TokenReader;
  origins: Origins;
  /** Whether the server listens on a loopback address only. */
  isBoundToLoopback: boolean;
}

/** How long the answer to "are there tokens?" holds, and how long to wait for another if there was one. */
const TOKENS_KNOWN_MS = 1_000;
const REFRESH_LIMIT_MS = 250;
/** How long it is believed while Postgres is away. */
const TOKENS_BELIEVED_MS = 5 * 60_000;
/** How many wrong tokens an address may try in a minute. */
const MAX_FAILURES = 30;

/** Recognizes the callers of the HTTP interface. */
export interface Identifier {
  identify(request: Request): Promise<Identity>;
  /** The network address of a caller: that of the socket, or what a trusted proxy says. */
  addressOf(request: Request): string;
  /** The holder of a token; "unknown" while Postgres does not answer. */
  readToken(
    token: string,
  ): Promise<{ name: string; role: Role; tokenId: string | null } | "rejected" | "unknown">;
  /** The hash of the token of the settings, which binds its sessions. */
  settingsHash: Buffer | null;
  /** Counts a wrong token of an address, and returns whether there were too many. */
  isGuessing(address: string): Promise<boolean>;
  /** Whether anybody but a local caller can be recognized. */
  hasAuthentication(): Promise<boolean>;
}

export function createIdentifier({
  settings,
  database,
  origins,
  isBoundToLoopback,
}: IdentityDependencies): Identifier {
  const { adminToken, trustedProxy, proxyRoles = new Map<string, Role>() } = settings;
  const settingsHash = adminToken === undefined ? null : sha256(adminToken);
  const failures = createThrottle(MAX_FAILURES);
  let tokens: { has: boolean; at: number } | null = null;

  /** Whether there ever was a token; null if Postgres does not answer, and did not for a while. */
  async function hadTokens(): Promise<boolean | null> {
    if (tokens && performance.now() - tokens.at < TOKENS_KNOWN_MS) return tokens.has;
    const answer = await ask(() => database.readTokenState(), tokens ? REFRESH_LIMIT_MS : undefined);
    if (answer !== "unknown") tokens = { has: answer.any, at: performance.now() };
    return tokens && performance.now() - tokens.at < TOKENS_BELIEVED_MS ? tokens.has : null;
  }

  function isOfSettings(token: string | undefined): boolean {
    return settingsHash !== null && token !== undefined && timingSafeEqual(settingsHash, sha256(token));
  }

  async function readToken(token: string) {
    if (isOfSettings(token)) return { name: "settings", role: "admin" as const, tokenId: null };
    const holder = await ask(() => database.findTokenHolder(token));
    return holder ?? "rejected";
  }

  function isTrusted(address: string): boolean {
    const plain = toPlainAddress(address);
    return trustedProxy?.check(plain, plain.includes(":") ? "ipv6" : "ipv4") ?? false;
  }

  function addressOf(request: Request): string {
    const hops = [
      ...(request.get("x-forwarded-for") ?? "").split(",").map((hop) => withoutPort(hop.trim())),
      peerOf(request),
    ];
    // From the nearest on: the first that is no proxy of ours.
    const own = hops.findLastIndex((hop) => !isTrusted(hop));
    return toPlainAddress(hops[own] || peerOf(request)).slice(0, 60);
  }

  function isLocal(request: Request): boolean {
    return (
      isBoundToLoopback &&
      settingsHash === null &&
      trustedProxy === undefined &&
      isLoopback(peerOf(request)) &&
      // A proxy on this machine would let everybody in.
      origins.isLoopbackHost(request.get("host")) &&
      request.httpVersion !== "1.0" &&
      !Object.keys(request.headers).some((name) => PROXY_HEADER.test(name))
    );
  }

  return {
    settingsHash,
    readToken,
    addressOf,
    isGuessing: (address) => failures.isTooOften(address),
    async hasAuthentication() {
      const { any, inForce } = await database.readTokenState();
      // Known from the start, whatever becomes of Postgres then.
      tokens = { has: any, at: performance.now() };
      return settingsHash !== null || trustedProxy !== undefined || inForce;
    },
    async identify(request) {
      const address = addressOf(request);
      const nobody = { name: "", role: null, means: "none", address, tokenId: null } as const;
      const known = (
        holder: { name: string; role: Role; tokenId: string | null },
        means: Actor["means"],
      ): Identity => ({
        kind: "known",
        actor: { ...holder, means, address },
      });
      const user = request.get("x-forwarded-user") ?? "";
      const isProxied = user !== "" && isTrusted(peerOf(request));
      const authorization = request.get("authorization");
      const [, token] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
      // A proxy may pass on credentials that were meant for it.
      const isForeign = isProxied && token?.startsWith("rt_") !== true && !isOfSettings(token);
      if (authorization !== undefined && !isForeign) {
        const holder = token === undefined ? "rejected" : await readToken(token);
        if (holder === "unknown") return { kind: "unknown", actor: nobody };
        if (holder === "rejected") return { kind: "rejected", actor: { ...nobody, means: "token" } };
        return known(holder, "token");
      }
      if (isProxied) {
        const groups = (request.get("x-forwarded-groups") ?? "").split(",").map((group) => group.trim());
        const role = highestOf(groups.flatMap((group) => proxyRoles.get(group) ?? []));
        const name = decodeHeader(user);
        if (role === null) return { kind: "without role", actor: { ...nobody, name, means: "proxy" } };
        return known({ name, role, tokenId: null }, "proxy");
      }
      const cookie = readCookie(request, origins.cookieName);
      if (cookie !== null) {
        const holder = await ask(() => database.findSessionHolder(cookie, settingsHash));
        if (holder === "unknown") return { kind: "unknown", actor: { ...nobody, means: "session" } };
        if (holder !== null) return known(holder, "session");
      }
      if (isLocal(request)) {
        const has = await hadTokens();
        if (has === null) return { kind: "unknown", actor: nobody };
        if (!has) return known({ name: "local", role: "admin", tokenId: null }, "local");
      }
      // The session of a browser may just have ended, which is no attack.
      return { kind: "anonymous", actor: cookie === null ? nobody : { ...nobody, means: "session" } };
    },
  };
}

/** Headers that proxies add. */
const PROXY_HEADER = /^(x-forwarded-|cf-|forwarded$|via$|x-real-ip$|x-client-ip$|true-client-ip$)/;

/** `1.2.3.4:5678` and `[::1]:5678` as some proxies write an address. */
function withoutPort(hop: string): string {
  return hop.replace(/^\[([^\]]+)\](:\d+)?$/, "$1").replace(/^([\d.]+):\d+$/, "$1");
}

/** A header as text: its bytes are UTF-8. */
function decodeHeader(value: string): string {
  return Buffer.from(value, "latin1")
    .toString("utf8")
    .replaceAll(/[\p{Cc}\p{Cs}]/gu, "?")
    .slice(0, 200);
}

function peerOf(request: Request): string {
  return request.socket.remoteAddress ?? "";
}

/** An IPv4 address that arrived on an IPv6 socket, as itself. */
function toPlainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

/** The value of a cookie; null without one. */
export function readCookie(request: Request, name: string): string | null {
  for (const part of (request.get("cookie") ?? "").split(";")) {
    const [key = "", ...value] = part.trim().split("=");
    if (key === name) return value.join("=").slice(0, 200);
  }
  return null;
}
