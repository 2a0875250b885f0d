import { reservePort } from "./ports.ts";
import { formatServer } from "../../src/settings/server-list.ts";
import { createRedisProcess, type RedisProcess, type RedisProcessOptions } from "./redis-process.ts";
import type { ReplicatedRedis } from "./replicated-redis.ts";
import { listTlsServers, tlsSettings } from "./tls.ts";
import { until } from "./until.ts";

export interface RedisClusterOptions extends RedisProcessOptions {
  /** How long a node may be silent before the others replace it. */
  nodeTimeoutMs?: number;
  settings?: Readonly<Record<string, string>>;
  /** Whether clients connect by TLS. */
  hasTls?: boolean;
}

const MASTERS = 3;
const NODES = 2 * MASTERS;
const LAST_SLOT = 16_383;
/** Redis gives up after five seconds, which a busy machine may need; asked again sooner, it would begin anew. */
const HAND_OVER_LIMIT_MS = 6_000;

/** Starts three masters, each with a replica, on the loopback address. */
export async function startRedisCluster({
  nodeTimeoutMs = 1_500,
  settings = {},
  hasTls = false,
  ...options
}: RedisClusterOptions = {}): Promise<ReplicatedRedis> {
  const nodes = await Promise.all(
    Array.from({ length: NODES }, async () =>
      createRedisProcess(
        {
          save: '""',
          appendonly: "yes",
          "maxmemory-policy": "noeviction",
          "cluster-enabled": "yes",
          // By default 10,000 above the port, which may be more than there are.
          "cluster-port": String(await reservePort()),
          "cluster-node-timeout": String(nodeTimeoutMs),
          // A replica takes over however long it was without its master.
          "cluster-replica-validity-factor": "0",
          "repl-diskless-sync-delay": "0",
          // Until a replica has received something, the cluster does not list it.
          "repl-ping-replica-period": "1",
          ...settings,
          // Otherwise the nodes would name their other port to clients.
          ...(hasTls ? { ...(await tlsSettings()), "tls-cluster": "yes", "tls-replication": "yes" } : {}),
        },
        options,
      ),
    ),
  );
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    await Promise.all(nodes.map((node) => node.start()));
    await join(nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  const findShard = async (prefix: string): Promise<RedisProcess[]> => {
    const witness = nodes.find((node) => node.isRunning());
    return witness ? listShard(nodes, witness, prefix) : [];
  };
  const findNode = async (prefix: string, place: 0 | 1): Promise<RedisProcess> => {
    const node = (await findShard(prefix))[place];
    if (!node) throw new Error(`No ${place === 0 ? "master" : "replica"} has the keys of ${prefix}`);
    return node;
  };
  const addresses = (hasTls ? await listTlsServers(nodes) : nodes).map(formatServer);
  const url = `${hasTls ? "rediss" : "redis"}://${addresses[0]}`;
  return {
    servers: nodes,
    url,
    settings: { REDIS_URL: url, REDIS_CLUSTER_NODES: addresses.join(",") },
    findMaster: (prefix) => findNode(prefix, 0),
    findReplica: (prefix) => findNode(prefix, 1),
    untilReplaced: (master, prefix) =>
      until("another node has taken over", async () => {
        const witnesses = nodes.filter((node) => node !== master && node.isRunning());
        const found = await Promise.all(
          witnesses.map(async (node) => (await listShard(nodes, node, prefix))[0]),
        );
        return found.every((one) => one !== undefined && one !== master && one === found[0])
          ? found[0]
          : undefined;
      }),
    isHandOverComplete: true,
    async handOver(prefix) {
      const replica = await findNode(prefix, 1);
      let askedAt = Number.NEGATIVE_INFINITY;
      await until("the replica has taken over", async () => {
        if ((await replica.admin.role())[0] === "master") return true;
        if (performance.now() - askedAt > HAND_OVER_LIMIT_MS) {
          askedAt = performance.now();
          await replica.admin.cluster("FAILOVER");
        }
        return false;
      });
    },
    async heal() {
      await Promise.all(nodes.filter((node) => !node.isRunning()).map((node) => node.start()));
      await untilComplete(nodes);
    },
    stop,
  };
}

/** Makes a cluster of nodes that know nothing of each other. */
async function join(nodes: readonly RedisProcess[]): Promise<void> {
  const share = Math.ceil((LAST_SLOT + 1) / MASTERS);
  await Promise.all(
    nodes.map(async ({ admin }, index) => {
      // Equal epochs would have to be sorted out first.
      await admin.call("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
      const from = index * share;
      if (index < MASTERS)
        await admin.call(
          "CLUSTER",
          "ADDSLOTSRANGE",
          String(from),
          String(Math.min(from + share - 1, LAST_SLOT)),
        );
    }),
  );
  for (const { host, port, admin } of nodes) {
    const [, busPort] = await admin.config("GET", "cluster-port");
    // Left to themselves, they would hear of each other one by one.
    for (const other of nodes)
      if (other.port !== port) await other.admin.call("CLUSTER", "MEET", host, String(port), String(busPort));
  }
  await until("every node knows the others", async () => {
    const infos = await Promise.all(nodes.map(({ admin }) => admin.cluster("INFO")));
    return infos.every(
      (info) => info.includes(`cluster_known_nodes:${NODES}`) && info.includes("cluster_state:ok"),
    );
  });
  await Promise.all(
    nodes.slice(MASTERS).map(async ({ admin }, index) => {
      const master = await nodes[index]?.admin.cluster("MYID");
      await admin.call("CLUSTER", "REPLICATE", String(master));
    }),
  );
  await untilComplete(nodes);
}

/** Waits until every node sees three masters with a replica each, and the replicas have all data. */
async function untilComplete(nodes: readonly RedisProcess[]): Promise<void> {
  await until("every master has a replica that is in sync", async () => {
    const views = await Promise.all(nodes.map(({ admin }) => admin.cluster("SLOTS").catch(() => [])));
    const isKnown = views.every(
      (ranges) => ranges.length >= MASTERS && ranges.every(([, , ...servers]) => servers.length === 2),
    );
    const infos = await Promise.all(nodes.map(({ admin }) => admin.info("replication").catch(() => "")));
    const synced = infos.filter((info) => info.includes("master_link_status:up")).length;
    return isKnown && synced === MASTERS;
  });
}

/** The master that has the keys of a prefix, then its replicas, as a node sees it. */
async function listShard(
  nodes: readonly RedisProcess[],
  { admin }: RedisProcess,
  prefix: string,
): Promise<RedisProcess[]> {
  const slot = await admin.cluster("KEYSLOT", prefix);
  const range = (await admin.cluster("SLOTS")).find(([from, to]) => from <= slot && slot <= to);
  const [, , ...servers] = range ?? [0, 0];
  return servers.flatMap(([, port]) => nodes.filter((node) => node.port === port));
}
