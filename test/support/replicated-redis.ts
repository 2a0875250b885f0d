import type { RedisProcess } from "./redis-process.ts";

/** Servers of which another takes over when a master is lost: a cluster, or a master with a replica and sentinels. */
export interface ReplicatedRedis {
  servers: readonly RedisProcess[];
  /** The URL of one server. */
  url: string;
  /** The settings of a service that uses it. */
  settings: Record<string, string>;
  /** The server that has the keys of a prefix. */
  findMaster(prefix: string): Promise<RedisProcess>;
  /** The server that will replace it. */
  findReplica(prefix: string): Promise<RedisProcess>;
  /** Makes a replica take over, although nothing is wrong with the master. */
  handOver(prefix: string): Promise<void>;
  /** Whether the replica waits for the master's last writes before it takes over. */
  isHandOverComplete: boolean;
  /** Waits until another server has the keys that `master` had, and returns it. */
  untilReplaced(master: RedisProcess, prefix: string): Promise<RedisProcess>;
  /** Starts what was killed, and waits until every master has its replica again. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}
