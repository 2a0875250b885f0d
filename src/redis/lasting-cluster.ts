import type { Cluster, Redis } from "ioredis";

/** How soon a client notices that another master has taken the place of one that hangs. */
const REFRESH_MS = 5_000;

/**
 * Makes a cluster's client, and duplicates of it, last as long as they should.
 *
 * They end whenever they are disconnected. If a command is redirected meanwhile, ioredis 6 adds the node that it is redirected to,
 * and waits without end for that connection to close. BullMQ disconnects and reconnects the clients of its workers during a
 * failover: such a worker would take no job again.
 *
 * They also leave a master that hangs with its connections open, which nothing else would show them. ioredis 6 has an option for it,
 * `slotsRefreshInterval`, but its timer outlives the client, and each reconnection may start another one.
 */
export function makeLasting(cluster: Cluster): Cluster {
  cluster.on("+node", (node: Redis) => {
    if (cluster.status === "disconnecting") node.disconnect();
  });
  let refreshing: NodeJS.Timeout | undefined;
  cluster.on("ready", () => {
    refreshing ??= setInterval(
      () => cluster.status === "ready" && cluster.refreshSlotsCache(),
      REFRESH_MS,
    ).unref();
  });
  cluster.on("close", () => {
    clearInterval(refreshing);
    refreshing = undefined;
  });
  const duplicate = cluster.duplicate.bind(cluster);
  return Object.assign(cluster, {
    duplicate: (...options: Parameters<typeof duplicate>) => makeLasting(duplicate(...options)),
  });
}
