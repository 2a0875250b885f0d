import { BlockList, isIP } from "node:net";
import pg from "pg";
import { createFailoverClient, type Host } from "./failover.ts";

/** The hosts of a connection string, in its order. Settings keep several of them in the parameters `host` and `port`. */
export function listHosts(databaseUrl: string): Host[] {
  const url = new URL(databaseUrl);
  const hosts = (url.searchParams.get("host") || url.hostname.replace(/^\[(.*)\]$/, "$1")).split(",");
  const ports = (url.searchParams.get("port") || url.port).split(",");
  return hosts.map((host, index) => ({
    host: decodeURIComponent(host) || "localhost",
    port: (ports.length === 1 ? ports[0] : ports[index]) || "5432",
  }));
}

/** How `pg` is to connect: as the connection string says and, to a host elsewhere, with verified TLS unless it says otherwise. */
export function connectionOptions(databaseUrl: string): pg.ClientConfig {
  return {
    connectionString: strictModes(databaseUrl),
    ...(needsTls(databaseUrl) && { ssl: true }),
    keepAlive: true,
  };
}

/** The client to connect with: one that chooses a host if there are several. */
export function chooseClient(databaseUrl: string, Base: typeof pg.Client = pg.Client): typeof pg.Client {
  const target = new URL(databaseUrl).searchParams.get("target_session_attrs") ?? "any";
  const hosts = listHosts(databaseUrl);
  return hosts.length === 1 && target === "any"
    ? Base
    : createFailoverClient(Base, hosts, { needsPrimary: target !== "any" });
}

/** What says in a connection string whether TLS is used, besides `sslmode`. */
const TLS_PARAMETERS = ["ssl", "sslrootcert", "sslcert", "sslkey"];
/** `pg` takes a mode that it does not know, a misspelled one say, for none at all. */
const TLS_MODES = ["disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"];

function needsTls(databaseUrl: string): boolean {
  const { searchParams } = new URL(databaseUrl);
  const mode = searchParams.get("sslmode") || process.env["PGSSLMODE"] || "";
  const saysSo = TLS_MODES.includes(mode) || TLS_PARAMETERS.some((name) => Boolean(searchParams.get(name)));
  if (saysSo) return false;
  return !listHosts(databaseUrl).every(({ host }) => isLocal(host));
}

/** `pg` verifies in all of these modes, with a warning that a later version will not. */
function strictModes(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  const isStrict = ["prefer", "require", "verify-ca"].includes(url.searchParams.get("sslmode") ?? "");
  if (!isStrict || url.searchParams.has("uselibpqcompat")) return databaseUrl;
  url.searchParams.set("sslmode", "verify-full");
  return url.href;
}

const LOCAL_NETWORKS = new BlockList();
for (const [network, prefix] of [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
] as const)
  LOCAL_NETWORKS.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of [
  ["fc00::", 7],
  ["fe80::", 10],
] as const)
  LOCAL_NETWORKS.addSubnet(network, prefix, "ipv6");
LOCAL_NETWORKS.addAddress("::1", "ipv6");

/** Whether a host is on this machine or in a private network: a socket, a private address, or a name that only such networks have. */
export function isLocal(host: string): boolean {
  if (host.startsWith("/")) return true;
  const version = isIP(host);
  if (version !== 0) return LOCAL_NETWORKS.check(host, version === 4 ? "ipv4" : "ipv6");
  // A whole number is an IPv4 address, too.
  if (/^(?:\d+|0x[\da-f]+)$/i.test(host)) return false;
  return !host.includes(".") || /\.(?:localhost|local|internal|svc)\.?$/i.test(host);
}
