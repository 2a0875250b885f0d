import { callbackify } from "node:util";
import pg from "pg";

export interface Host {
  host: string;
  port: string;
}

/** A host that hangs must not take the time of the others. */
const PROBE_LIMIT_MS = 2_000;

/**
 * A client that connects to the first of several hosts that responds and, if asked, accepts writes. `pg` takes a single host, so
 * each host is probed before; the one that was chosen last is probed first.
 */
export function createFailoverClient(
  Base: typeof pg.Client,
  hosts: readonly Host[],
  { needsPrimary }: { needsPrimary: boolean },
): typeof pg.Client {
  let preferred = 0;

  async function choose(config: pg.ClientConfig): Promise<Host> {
    const failures: Error[] = [];
    for (let step = 0; step < hosts.length; step += 1) {
      const index = (preferred + step) % hosts.length;
      const host = hosts[index] as Host;
      const failure = await probe(config, host, needsPrimary);
      if (failure === null) {
        preferred = index;
        return host;
      }
      failures.push(failure);
    }
    throw new AggregateError(failures, failures.map(({ message }) => message).join("; "));
  }

  return class extends Base {
    readonly #config: pg.ClientConfig;

    constructor(config: pg.ClientConfig) {
      super(config);
      this.#config = config;
    }

    override connect(...[callback]: unknown[]): never {
      const connect = async (): Promise<this> => {
        const { host, port } = await choose(this.#config);
        Object.assign(this, { host, port: Number(port) });
        await super.connect();
        return this;
      };
      if (typeof callback !== "function") return connect() as never;
      return callbackify(connect)(callback as () => void) as never;
    }
  };
}

/** Connects to a host, and returns why it will not do; null if it will. */
async function probe(config: pg.ClientConfig, host: Host, needsPrimary: boolean): Promise<Error | null> {
  const url = new URL(config.connectionString ?? "");
  url.searchParams.set("host", host.host);
  url.searchParams.set("port", host.port);
  const client = new pg.Client({
    ...config,
    connectionString: url.href,
    connectionTimeoutMillis: PROBE_LIMIT_MS,
    query_timeout: PROBE_LIMIT_MS,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    if (!needsPrimary) return null;
    const { rows } = await client.query<{ transaction_read_only: string }>("SHOW transaction_read_only");
    if (rows[0]?.transaction_read_only === "off") return null;
    return Object.assign(new Error(`${host.host}:${host.port} accepts no writes`), { code: "ECONNREFUSED" });
  } catch (error) {
    return error as Error;
  } finally {
    await client.end().catch(() => {});
  }
}
