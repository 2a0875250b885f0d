import { formatServer } from "../../src/settings/server-list.ts";
import { createRedisProcess, type RedisProcess } from "./redis-process.ts";
import type { ReplicatedRedis } from "./replicated-redis.ts";
import { until } from "./until.ts";

const PASSWORD = "password-of-the-servers";
const SENTINEL_PASSWORD = "password-of-the-sentinels";
const MASTER = "films";

/** Starts a master, its replica and three sentinels on the loopback address. Servers and sentinels have a password. */
export async function startRedisSentinel(): Promise<ReplicatedRedis> {
  const servers = await Promise.all([createServer(), createServer()]);
  const [first, second] = servers;
  if (!first || !second) throw new Error("No server was created");
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => createSentinel(first)));
  const all = [...servers, ...sentinels];
  const stop = async (): Promise<void> => void (await Promise.all(all.map((each) => each.stop())));
  try {
    await Promise.all(servers.map((server) => server.start()));
    await replicate(servers, first);
    await Promise.all(sentinels.map((sentinel) => sentinel.start()));
    await untilKnown(sentinels);
  } catch (error) {
    await stop();
    throw error;
  }
  const findMaster = async (): Promise<RedisProcess> => {
    const found = await askForMaster(servers, sentinels[0]);
    if (!found) throw new Error("The sentinels name no master");
    return found;
  };
  return {
    servers,
    url: `redis://:${PASSWORD}@${formatServer(first)}`,
    settings: {
      REDIS_URL: `redis://:${PASSWORD}@${MASTER}`,
      REDIS_SENTINELS: sentinels.map(formatServer).join(","),
      REDIS_SENTINEL_MASTER: MASTER,
      REDIS_SENTINEL_PASSWORD: SENTINEL_PASSWORD,
    },
    findMaster,
    async findReplica() {
      const { port } = await findMaster();
      return port === first.port ? second : first;
    },
    isHandOverComplete: false,
    handOver: async () => void (await sentinels[0]?.admin.call("SENTINEL", "FAILOVER", MASTER)),
    untilReplaced: (master) =>
      until("the sentinels name another master", async () => {
        const found = await Promise.all(sentinels.map((sentinel) => askForMaster(servers, sentinel)));
        return found.every((one) => one !== undefined && one !== master) ? found[0] : undefined;
      }),
    async heal() {
      await Promise.all(servers.filter((server) => !server.isRunning()).map((server) => server.start()));
      // The sentinels would see to it, but only after ten seconds.
      await replicate(servers, await findMaster());
      await untilKnown(sentinels);
    },
    stop,
  };
}

function createServer(): Promise<RedisProcess> {
  return createRedisProcess(
    {
      save: '""',
      appendonly: "yes",
      "maxmemory-policy": "noeviction",
      requirepass: PASSWORD,
      masterauth: PASSWORD,
      "repl-diskless-sync-delay": "0",
    },
    { login: { password: PASSWORD } },
  );
}

function createSentinel({ host, port }: RedisProcess): Promise<RedisProcess> {
  return createRedisProcess(
    { requirepass: SENTINEL_PASSWORD },
    {
      isSentinel: true,
      login: { password: SENTINEL_PASSWORD },
      lines: [
        `sentinel monitor ${MASTER} ${host} ${port} 2`,
        `sentinel auth-pass ${MASTER} ${PASSWORD}`,
        `sentinel sentinel-pass ${SENTINEL_PASSWORD}`,
        `sentinel down-after-milliseconds ${MASTER} 1500`,
        `sentinel failover-timeout ${MASTER} 5000`,
      ],
    },
  );
}

/** Makes the others replicas of the master, and waits until they have all data. */
async function replicate(servers: readonly RedisProcess[], master: RedisProcess): Promise<void> {
  for (const { admin, port } of servers) {
    if (port !== master.port) await admin.replicaof(master.host, master.port);
  }
  await until("the replica is in sync", async () => {
    const infos = await Promise.all(servers.map(({ admin }) => admin.info("replication")));
    return infos.filter((info) => info.includes("master_link_status:up")).length === servers.length - 1;
  });
}

/** Waits until every sentinel knows the replica and the other sentinels. */
async function untilKnown(sentinels: readonly RedisProcess[]): Promise<void> {
  await until("every sentinel knows all servers", async () => {
    const replies = await Promise.all(
      sentinels.map(async ({ admin }) => JSON.stringify(await admin.call("SENTINEL", "MASTER", MASTER))),
    );
    return replies.every(
      (reply) =>
        reply.includes('"flags","master"') &&
        reply.includes('"num-slaves","1"') &&
        reply.includes('"num-other-sentinels","2"'),
    );
  });
}

async function askForMaster(
  servers: readonly RedisProcess[],
  sentinel: RedisProcess | undefined,
): Promise<RedisProcess | undefined> {
  const address = await sentinel?.admin.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER);
  const [, port] = Array.isArray(address) ? address : [];
  return servers.find((server) => server.port === Number(port));
}
