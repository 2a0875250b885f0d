import type { BlockList } from "node:net";
import { timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import { type Actor, highestOf, type Role } from "../../core/access.ts";
import type { Database } from "../../postgres/database.ts";
import { sha256 } from "../../postgres/tokens.ts";
import { isSettledWithin } from "../../process/lifecycle.ts";
import { isLoopback, type Origins } from "./origins.ts";

/** The settings that decide who a caller is. */
export interface AccessSettings {
  adminToken?: string | undefined;
  trustedProxy?: BlockList | undefined;
  proxyRoles?: ReadonlyMap<string, Role> | undefined;
}

/** A recognized caller, or why there is none. `unknown`: Postgres, which knows the tokens, does not answer. */
export type Identity =
  | { kind: "known"; actor: Actor & { role: Role }; tokenId: string | null }
  | { kind: "anonymous" | "rejected" | "unknown" | "without role"; actor: Actor };

type TokenReader = Pick<Database, "hasTokens" | "findTokenHolder" | "findSessionHolder">;

export interface IdentityDependencies {
  settings: AccessSettings;
  database: TokenReader;
  origins: Origins;
  /** Whether the server listens on a loopback address only. */
  isBoundToLoopback: boolean;
}

/** Postgres responds within milliseconds; a caller waits this long at most. */
const RESPONSE_LIMIT_MS = 1_000;
/** How long the answer to "are there tokens?" holds, and how long to wait for another if there was one. */
const TOKENS_KNOWN_MS = 1_000;
const REFRESH_LIMIT_MS = 250;

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
  let tokens: { has: boolean; at: number } | null = null;

  /** null if Postgres does not answer and never did. */
  async function hasTokens(): Promise<boolean | null> {
    if (tokens && performance.now() - tokens.at < TOKENS_KNOWN_MS) return tokens.has;
    const answer = await ask(() => database.hasTokens(), tokens ? REFRESH_LIMIT_MS : RESPONSE_LIMIT_MS);
    if (answer !== "unknown") tokens = { has: answer, at: performance.now() };
    return tokens?.has ?? null;
  }

  async function readToken(token: string) {
    if (settingsHash && timingSafeEqual(settingsHash, sha256(token)))
      return { name: "settings", role: "admin" as const, tokenId: null };
    const holder = await ask(() => database.findTokenHolder(token));
    return holder ?? "rejected";
  }

  function isTrusted(address: string): boolean {
    const plain = toPlainAddress(address);
    return trustedProxy?.check(plain, plain.includes(":") ? "ipv6" : "ipv4") ?? false;
  }

  function addressOf(request: Request): string {
    const hops = [
      ...(request.get("x-forwarded-for") ?? "").split(",").map((hop) => hop.trim()),
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
      !PROXY_HEADERS.some((name) => request.get(name) !== undefined)
    );
  }

  return {
    settingsHash,
    readToken,
    addressOf,
    async hasAuthentication() {
      return settingsHash !== null || trustedProxy !== undefined || (await database.hasTokens());
    },
    async identify(request) {
      const address = addressOf(request);
      const nobody = { name: "", role: null, means: "none", address } as const;
      const known = (
        holder: { name: string; role: Role; tokenId: string | null },
        means: Actor["means"],
      ): Identity => ({
        kind: "known",
        actor: { name: holder.name, role: holder.role, means, address },
        tokenId: holder.tokenId,
      });
      const authorization = request.get("authorization");
      if (authorization !== undefined) {
        const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
        const holder = token === undefined ? "rejected" : await readToken(token);
        if (holder === "unknown") return { kind: "unknown", actor: nobody };
        if (holder === "rejected") return { kind: "rejected", actor: { ...nobody, means: "token" } };
        return known(holder, "token");
      }
      const cookie = readCookie(request, origins.cookieName);
      if (cookie !== null) {
        const holder = await ask(() => database.findSessionHolder(cookie, settingsHash));
        if (holder === "unknown") return { kind: "unknown", actor: { ...nobody, means: "session" } };
        if (holder !== null) return known(holder, "session");
      }
      const user = request.get("x-forwarded-user");
      if (user !== undefined && isTrusted(peerOf(request))) {
        const groups = (request.get("x-forwarded-groups") ?? "").split(",").map((group) => group.trim());
        const role = highestOf(groups.flatMap((group) => proxyRoles.get(group) ?? []));
        const name = user.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
        if (role === null) return { kind: "without role", actor: { ...nobody, name, means: "proxy" } };
        return known({ name, role, tokenId: null }, "proxy");
      }
      if (isLocal(request)) {
        const has = await hasTokens();
        if (has === null) return { kind: "unknown", actor: nobody };
        if (!has) return known({ name: "local", role: "admin", tokenId: null }, "local");
      }
      // The session of a browser may just have ended, which is no attack.
      return { kind: "anonymous", actor: cookie === null ? nobody : { ...nobody, means: "session" } };
    },
  };
}

const PROXY_HEADERS = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/** The value of a call to Postgres; "unknown" if it fails or does not respond in time. */
async function ask<T>(call: () => Promise<T>, limitMs = RESPONSE_LIMIT_MS): Promise<T | "unknown"> {
  const answer = call().catch(() => "unknown" as const);
  return (await isSettledWithin(answer, limitMs)) ? answer : "unknown";
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
