import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { runScript } from "../support/process.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { createRedisProcess, type RedisProcess } from "../support/redis-process.ts";
import { READY } from "../support/redis-trouble.ts";
import { startService } from "../support/service-process.ts";
import { listTlsServers, tlsSettings, TRUSTED } from "../support/tls.ts";
import { formatServer } from "../../src/settings/server-list.ts";
import { addCheck, createWorld, type World } from "../support/world.ts";

const PASSWORD = "password-of-the-user";

let world: World | undefined;
let directory = "";
const servers: { stop(): Promise<void> }[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  await world?.close();
  world = undefined;
  for (const server of servers.splice(0)) await server.stop();
  if (directory !== "") await rm(directory, { recursive: true });
  directory = "";
});

/** The rules of the user as docs/operations.md gives them, for another prefix and password. */
async function readRules(prefix: string): Promise<string[]> {
  const page = await readFile("docs/operations.md", "utf8");
  const [, rules = ""] = /ACL SETUSER retrigger ([^`]*?)\n```/.exec(page) ?? [];
  return rules
    .replaceAll(/\\?\n\s*/g, " ")
    .replaceAll("'", "")
    .replaceAll("{retrigger}", prefix)
    .replace(">PASSWORD", `>${PASSWORD}`)
    .split(/\s+/)
    .filter((rule) => rule !== "\\");
}

/** One server, and the settings of a client. */
async function startAlone() {
  const server = await createRedisProcess({ save: '""', appendonly: "yes", ...(await tlsSettings()) });
  servers.push(server);
  await server.start();
  const [address] = await listTlsServers([server]);
  if (!address) throw new Error("no server");
  return {
    nodes: [server],
    plain: { REDIS_URL: `redis://${formatServer(server)}` },
    secure: { host: formatServer(address), settings: {} },
  };
}

async function startCluster() {
  const cluster = await startRedisCluster({ hasTls: true });
  servers.push(cluster);
  const nodes = cluster.servers;
  const { REDIS_CLUSTER_NODES: list = "" } = cluster.settings;
  const plain = nodes.map(formatServer);
  return {
    nodes,
    plain: { REDIS_URL: `redis://${plain[0]}`, REDIS_CLUSTER_NODES: plain.join(",") },
    secure: { host: list.split(",")[0] ?? "", settings: { REDIS_CLUSTER_NODES: list } },
  };
}

describe("TLS and a user with the rights that docs/operations.md gives", () => {
  it.each([
    ["one server", startAlone],
    ["a cluster", startCluster],
  ])("are enough for the service and the commands, on %s", async (_, startRedis) => {
    const { nodes, plain, secure } = await startRedis();
    directory = await mkdtemp(join(process.cwd(), ".data", "tls-"));
    const file = join(directory, "retrigger.yaml");
    await writeFile(file, JSON.stringify({ models: { default: {} } }));
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_CONFIG: file, ...plain } });
    await addCheck(world);
    await Promise.all(nodes.map((node) => allow(node, world?.config.redisPrefix ?? "")));
    const settings = {
      ...world.settings,
      ...secure.settings,
      REDIS_URL: `rediss://retrigger:${PASSWORD}@${secure.host}`,
      ...TRUSTED,
    };
    const service = startService({ settings });
    children.push(service.child);
    const { readiness, get } = await service.untilReady();
    expect(await readiness()).toEqual(READY);
    const decide = await runScript("src/cli.ts", ["decide", "--json"], settings);
    expect(JSON.parse(decide.stdout)).toMatchObject({ decision: "trigger_mock" });
    expect((await get("/queues/api/queues")).body).toContain('"name":"summarize"');
    await writeFile(file, JSON.stringify({ models: { default: {}, films: {} } }));
    const reload = await runScript("src/cli.ts", ["config", "reload"], settings);
    expect(reload.stdout).toContain("models added: 1");
    const doctor = await runScript("src/cli.ts", ["doctor"], settings);
    expect(doctor.stdout).toContain("✅ Redis accepts writes");
    expect(doctor.stdout).toContain("✅ 1 worker process takes jobs");
    expect(service.warnings()).toEqual([]);
    for (const { admin } of nodes) expect(await admin.call("ACL", "LOG")).toEqual([]);
  });

  it("are refused with a reason: a certificate that nobody trusts, a wrong password", async () => {
    const { plain, secure, nodes } = await startAlone();
    world = await createWorld({ settings: plain });
    await Promise.all(nodes.map((node) => allow(node, world?.config.redisPrefix ?? "")));
    const url = (password: string) => `rediss://retrigger:${password}@${secure.host}`;
    const emit = (settings: Record<string, string>) =>
      runScript("src/cli.ts", ["emit"], { ...world?.settings, ...settings });
    const untrusted = await emit({ REDIS_URL: url(PASSWORD) });
    expect(untrusted.stderr).toContain("self-signed certificate");
    expect(untrusted.stderr).toContain("NODE_EXTRA_CA_CERTS");
    const wrong = await emit({ REDIS_URL: url("wrong"), ...TRUSTED });
    expect(wrong.stderr).toContain("rejected the login: WRONGPASS");
  });
});

async function allow({ admin }: RedisProcess, prefix: string): Promise<void> {
  await admin.call("ACL", "SETUSER", "retrigger", ...(await readRules(prefix)));
  await admin.call("ACL", "LOG", "RESET");
}
