import { messageOf, ServerAwayError } from "../core/errors.ts";

/** Why a reachable Redis refuses commands, and what to do about it. */
export interface Refusal {
  code: string;
  text: string;
  remedy: string;
  /** Only a change of the settings helps, so the start fails instead of waiting. */
  isPermanent: boolean;
}

interface Kind {
  code: string;
  /** The first word of Redis's error. */
  errors: readonly string[];
  /** Completes "Redis at localhost:6379 ...". `fields` are the fields of INFO; empty if INFO is forbidden. */
  text: (fields: ReadonlyMap<string, string>, error: string) => string;
  remedy: string;
  isPermanent?: true;
}

export const REDIS_REPLICA = "REDIS_REPLICA";

const IN_CLUSTER: Kind = {
  code: "REDIS_CLUSTER",
  errors: ["MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "CROSSSLOT"],
  text: () => "is a node of a Redis Cluster",
  remedy: "Name its nodes in REDIS_CLUSTER_NODES, such as redis-1:6379,redis-2:6379,redis-3:6379",
  isPermanent: true,
};

const NO_CLUSTER: Kind = {
  code: "REDIS_NO_CLUSTER",
  errors: [],
  text: () => "is no Redis Cluster (cluster-enabled no)",
  remedy: "Set REDIS_URL to the server, and leave REDIS_CLUSTER_NODES out",
  isPermanent: true,
};

const LOGIN: Kind = {
  code: "REDIS_LOGIN",
  errors: ["WRONGPASS", "NOAUTH"],
  text: (_, error) => `rejected the login: ${error}`,
  remedy: "Check the user and password in REDIS_URL",
  isPermanent: true,
};

const NO_RIGHT: Kind = {
  code: "REDIS_NO_RIGHT",
  errors: ["NOPERM"],
  text: (_, error) => `does not let this user run a command: ${error}`,
  remedy: "Give the user the rights in docs/operations.md#redis, on the keys and channels of REDIS_PREFIX",
  isPermanent: true,
};

const OTHER: Kind = {
  code: "REDIS_REFUSES",
  errors: [],
  text: (_, error) => `replies with an error: ${error}`,
  remedy: "Check the Redis log",
};

const KINDS: readonly Kind[] = [
  IN_CLUSTER,
  LOGIN,
  NO_RIGHT,
  {
    code: "REDIS_FULL",
    errors: ["OOM"],
    text: (fields) => `is full: its limit, maxmemory, is ${fields.get("maxmemory_human") ?? "reached"}`,
    remedy:
      "Raise maxmemory (redis-cli CONFIG SET maxmemory 1gb, and in redis.conf), or delete keys that are not needed",
  },
  {
    code: REDIS_REPLICA,
    errors: ["READONLY", "MASTERDOWN"],
    text: (fields) => {
      const [host, port] = [fields.get("master_host"), fields.get("master_port")];
      return `is a read-only replica${host === undefined ? "" : ` of ${host}:${port}`}`;
    },
    remedy: "Set REDIS_URL to the master, or promote this server: redis-cli REPLICAOF NO ONE",
  },
  {
    code: "REDIS_CANNOT_SAVE",
    errors: ["MISCONF"],
    text: () => "cannot write to its disk",
    remedy: "Free space on its disk, and check the Redis log",
  },
  {
    code: "REDIS_NO_REPLICAS",
    errors: ["NOREPLICAS"],
    text: () => "has fewer replicas than min-replicas-to-write requires",
    remedy: "Start its replicas, or lower min-replicas-to-write",
  },
  {
    code: "REDIS_LOADING",
    errors: ["LOADING"],
    text: () => "is still loading its data",
    remedy: "Wait until it has finished",
  },
  {
    code: "REDIS_BUSY",
    errors: ["BUSY"],
    text: () => "is busy running a script",
    remedy: "Wait for the script to end, or stop it: redis-cli SCRIPT KILL",
  },
];

/** The refusal and its remedy as one message. */
export function explain({ text, remedy }: Refusal): string {
  return `${text}. ${remedy}`;
}

/** The code of an error reply that is due to the state of Redis, not to the command; null for any other error. */
export function findRefusalCode(error: unknown): string | null {
  return findKind(error)?.code ?? null;
}

/** Whether a server is away or Redis refuses writes. This is logged elsewhere, and does not use up an attempt. */
export function isServerAway(error: unknown): boolean {
  return error instanceof ServerAwayError || findRefusalCode(error) !== null || isUnanswered(error);
}

/** What ioredis says of a command that got no reply, in errors that have nothing else in common. */
const UNANSWERED =
  /^(Connection is closed|Command timed out|Stream isn't writeable|Cluster isn't ready|Cluster is ended|None of startup nodes is available|Too many Cluster redirections|Failed to refresh slots cache)/;

function isUnanswered(error: unknown): boolean {
  return error instanceof Error && UNANSWERED.test(error.message);
}

/**
 * Explains why a valid command failed.
 *
 * @returns null for an error that is not a reply, such as a broken connection; and for the replies of a cluster whose
 *   nodes change their roles, which pass.
 */
export function explainRefusal(
  error: unknown,
  { address, isCluster }: { address: string; isCluster: boolean },
  fields: ReadonlyMap<string, string> = new Map(),
): Refusal | null {
  if (isCluster && isReply(error) && /cluster support disabled/.test(error.message))
    return describe(NO_CLUSTER, address, fields, error.message);
  const kind = findKind(error) ?? (isReply(error) ? OTHER : null);
  if (kind === null || (isCluster && kind === IN_CLUSTER)) return null;
  return describe(kind, address, fields, messageOf(error));
}

/** For a cluster node under a plain REDIS_URL, even one that holds all slots: it accepts writes only until they move. */
export function explainCluster(address: string): Refusal {
  return describe(IN_CLUSTER, address, new Map(), "");
}

function describe(
  kind: Kind,
  address: string,
  fields: ReadonlyMap<string, string>,
  message: string,
): Refusal {
  const { code, remedy, isPermanent = false } = kind;
  return { code, text: `Redis at ${address} ${kind.text(fields, message)}`, remedy, isPermanent };
}

/** The first word of an error reply. For an error in a script, Redis 6 puts it further back, after a hyphen. */
const FIRST_WORD = new RegExp(`(?:^|-)(${KINDS.flatMap(({ errors }) => errors).join("|")}) `);

function findKind(error: unknown): Kind | undefined {
  if (!isReply(error)) return undefined;
  const word = FIRST_WORD.exec(error.message)?.[1] ?? "";
  if (word !== "") return KINDS.find(({ errors }) => errors.includes(word));
  // EXECABORT carries the errors of the commands in the transaction.
  const causes = "previousErrors" in error ? Object.values(error.previousErrors as object) : [];
  return causes.map(findKind).find((kind) => kind !== undefined);
}

function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}
