import { fileURLToPath } from "node:url";
import { reservePort } from "./ports.ts";
import type { ServerAddress } from "../../src/settings/server-list.ts";
import type { RedisProcess } from "./redis-process.ts";

/**
 * A self-signed certificate of localhost and 127.0.0.1, valid until 2126, and its key: openssl req -x509 -newkey ec -pkeyopt
 * ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
 */
const [CERTIFICATE, KEY] = ["server.crt", "server.key"].map((name) =>
  fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url)),
) as [string, string];

/** With it, Node trusts the servers. */
export const TRUSTED = { NODE_EXTRA_CA_CERTS: CERTIFICATE };

/** Lines of redis.conf with which a server also listens for TLS. */
export async function tlsSettings(): Promise<Record<string, string>> {
  return {
    "tls-port": String(await reservePort()),
    "tls-cert-file": CERTIFICATE,
    "tls-key-file": KEY,
    "tls-ca-cert-file": CERTIFICATE,
    "tls-auth-clients": "no",
  };
}

/** The servers at the ports at which they listen for TLS. */
export function listTlsServers(servers: readonly RedisProcess[]): Promise<ServerAddress[]> {
  return Promise.all(
    servers.map(async ({ host, admin }) => {
      const [, port] = await admin.config("GET", "tls-port");
      return { host, port: Number(port) };
    }),
  );
}
