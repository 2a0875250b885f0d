import { isIP } from "node:net";

/** The names under which the server answers, against pages that rebind DNS to it. */
export interface Origins {
  isOwnHost(host: string | undefined): boolean;
  /** Whether a `Host` names this machine's loopback address and our port. */
  isLoopbackHost(host: string | undefined): boolean;
  /** Whether a page of this origin may send changes with a `Host`. */
  isSame(origin: string, host: string): boolean;
  /** `__Host-` binds the cookie to https and this host. */
  cookieName: string;
  isSecure: boolean;
}

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** @param findPort The port on which the server listens, once it does. */
export function createOrigins(publicUrl: string | undefined, findPort: () => number): Origins {
  const open = publicUrl === undefined ? null : new URL(publicUrl);
  const isSecure = open?.protocol === "https:";
  /** A `Host` as a URL has it: in small letters, without the default port. Null if it is malformed. */
  const toHost = (host: string, scheme: string): string | null => {
    if (!/^[A-Za-z0-9.:[\]-]+$/.test(host)) return null;
    return URL.parse(`${scheme}//${host}`)?.host ?? null;
  };
  const isLoopbackHost = (host: string | undefined): boolean => {
    const port = findPort() === 80 ? "" : `:${findPort()}`;
    const own = host === undefined ? null : toHost(host, "http:");
    return own !== null && LOOPBACK_NAMES.some((name) => own === name + port);
  };
  const isPublicHost = (host: string): boolean => open !== null && toHost(host, open.protocol) === open.host;
  return {
    isLoopbackHost,
    isOwnHost: (host) => host !== undefined && (isLoopbackHost(host) || isPublicHost(host)),
    isSame(origin, host) {
      if (isPublicHost(host)) return origin === open?.origin;
      return origin === `http://${toHost(host, "http:")}`;
    },
    cookieName: isSecure ? "__Host-retrigger_session" : "retrigger_session",
    isSecure,
  };
}

/** Whether an address or name is this machine's own. */
export function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/^\[|\]$/g, "");
  if (plain === "localhost" || plain === "::1") return true;
  return isIP(plain) === 4 && plain.startsWith("127.");
}
