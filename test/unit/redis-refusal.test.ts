import { describe, expect, it } from "vitest";
import { toProblem } from "../../src/http/problem.ts";
import { explainRefusal, findRefusalCode, isServerAway } from "../../src/redis/refusal.ts";

function reply(message: string, extra: object = {}): Error {
  return Object.assign(new Error(message), { name: "ReplyError" }, extra);
}

const OOM = "OOM command not allowed when used memory > 'maxmemory'.";

describe("errors with which Redis refuses a valid command", () => {
  it.each([
    [OOM, "REDIS_FULL"],
    [`${OOM} script: 5ab432e8, on @user_script:589.`, "REDIS_FULL"],
    [`ERR Error running script (call to f_5ab4): @user_script:5: @user_script: 5: -${OOM}`, "REDIS_FULL"],
    ["READONLY You can't write against a read only replica.", "REDIS_REPLICA"],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "REDIS_REPLICA"],
    ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to.", "REDIS_CANNOT_SAVE"],
    ["NOREPLICAS Not enough good replicas to write.", "REDIS_NO_REPLICAS"],
    ["LOADING Redis is loading the dataset in memory", "REDIS_LOADING"],
    ["BUSY Redis is busy running a script.", "REDIS_BUSY"],
    ["MOVED 3999 127.0.0.1:6381", "REDIS_CLUSTER"],
    ["CLUSTERDOWN Hash slot not served", "REDIS_CLUSTER"],
    ["NOAUTH Authentication required.", "REDIS_LOGIN"],
  ])("%s", (message, code) => {
    expect(findRefusalCode(reply(message))).toBe(code);
  });

  it("are found in the error of a transaction that one of them aborted", () => {
    const aborted = reply("EXECABORT Transaction discarded because of previous errors.", {
      previousErrors: [undefined, reply(OOM)],
    });
    expect(findRefusalCode(aborted)).toBe("REDIS_FULL");
  });

  it.each([
    reply("ERR syntax error"),
    reply("NOSCRIPT No matching script. Please use EVAL."),
    reply("BUSYGROUP Consumer Group name already exists"),
    new Error(OOM),
    new Error("Connection is closed."),
    null,
  ])("do not include %s", (error) => {
    expect(findRefusalCode(error)).toBeNull();
  });

  it("name the address, the value and the remedy", () => {
    const fields = new Map([["maxmemory_human", "100.00M"]]);
    expect(
      explainRefusal(reply(OOM), { address: "redis.internal:6379", isCluster: false }, fields),
    ).toMatchObject({
      code: "REDIS_FULL",
      text: "Redis at redis.internal:6379 is full: its limit, maxmemory, is 100.00M",
      remedy: expect.stringContaining("Raise maxmemory") as string,
      isPermanent: false,
    });
  });
});

describe("replies of a cluster whose nodes change their roles", () => {
  const cluster = { address: "redis-1:6379, redis-2:6379", isCluster: true };

  it.each([
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN x",
  ])("%s is no refusal, and does not use up an attempt", (message) => {
    expect(explainRefusal(reply(message), cluster)).toBeNull();
    expect(isServerAway(reply(message))).toBe(true);
  });

  it.each([
    "Too many Cluster redirections. Last error: ReplyError: CLUSTERDOWN Hash slot not served",
    "Connection is closed.",
    "Failed to refresh slots cache.",
    "Command timed out",
    "Stream isn't writeable and enableOfflineQueue options is false",
    "Cluster isn't ready and enableOfflineQueue options is false",
  ])("%s does not use up an attempt, and is a temporary problem to a caller", (message) => {
    expect(isServerAway(new Error(message))).toBe(true);
    expect(toProblem(new Error(message))).toMatchObject({ status: 503, code: "SERVER_AWAY" });
  });

  it("reveal that a server is no cluster", () => {
    expect(explainRefusal(reply("ERR This instance has cluster support disabled"), cluster)).toMatchObject({
      code: "REDIS_NO_CLUSTER",
      remedy: expect.stringContaining("leave REDIS_CLUSTER_NODES out") as string,
      isPermanent: true,
    });
  });
});
