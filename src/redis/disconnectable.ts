import type { Cluster, Redis } from "ioredis";

/**
 * Makes a cluster's client, and duplicates of it, end whenever they are disconnected. If a command is redirected meanwhile,
 * ioredis 6 adds the node that it is redirected to, and waits without end for that connection to close. BullMQ disconnects
 * and reconnects the clients of its workers during a failover: such a worker would take no job again.
 */
export function makeDisconnectable(cluster: Cluster): Cluster {
  cluster.on("+node", (node: Redis) => {
    if (cluster.status === "disconnecting") node.disconnect();
  });
  const duplicate = cluster.duplicate.bind(cluster);
  return Object.assign(cluster, {
    duplicate: (...options: Parameters<typeof duplicate>) => makeDisconnectable(duplicate(...options)),
  });
}
