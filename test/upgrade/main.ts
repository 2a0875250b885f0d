import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { parseConfig } from "../../src/config/config.ts";
import { startEmbeddedServers } from "../../src/embedded/servers.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createClient } from "../../src/use-cases/client.ts";
import { summarizeVerification } from "../../src/core/verification/verification.ts";
import { verifyAll } from "../../src/use-cases/verify/verify-all.ts";
import { audit } from "../faults/auditor.ts";
import { observe, untilAtRest } from "../faults/observe.ts";
import { gitHubSettings, startFakeGitHub } from "../github/fake-github.ts";
import { queryOnce } from "../support/database-url.ts";
import { createSourceDatabase } from "../support/template.ts";
import { auditAlerts } from "./audit-alerts.ts";
import { startEventStream } from "./event-stream.ts";
import { buildVersion, findPreviousRelease, THIS_VERSION } from "./previous-version.ts";
import { readEverything } from "./read-everything.ts";
import { createRehearsal } from "./rehearsal.ts";
import { startRelease } from "./release-process.ts";
import { auditSchedule, SCHEDULE } from "./schedule-audit.ts";

/**
 * Upgrades without downtime, tried before every release: `npm run test:upgrade`. The previous release and this version work
 * side by side on one Redis and one Postgres, under events and a schedule, and everything that they leave behind is audited.
 * `-- --from REF` upgrades from another tag or commit.
 */
const { values } = parseArgs({ options: { from: { type: "string" } } });
const REST_LIMIT_MS = 60_000;
const SHOWN_FAULTS = 20;

const ref = values.from ?? (await findPreviousRelease());
console.log(`Building ${ref} …`);
const previous = await buildVersion(ref);
console.log(`From ${previous.name} to ${THIS_VERSION.name}`);

const servers = await startEmbeddedServers({ isDurable: true, say: console.log });
const github = await startFakeGitHub();
const databaseUrl = await createSourceDatabase(servers.databaseUrl, "upgrade");
await queryOnce(
  databaseUrl,
  "INSERT INTO ratings_buffer SELECT n, n, 3.5, n, 'batch_w1' FROM generate_series(1, 100) n",
);
const settings = {
  DATABASE_URL: databaseUrl,
  REDIS_URL: servers.redisUrl,
  REDIS_PREFIX: "{upgrade}",
  MIN_BUFFER_SIZE: "0",
  SCHEDULE,
  LOG_LEVEL: "debug",
  ...gitHubSettings(github),
  TRAINING_POLL_SECONDS: "1",
};
const config = parseConfig(settings);
const silent = createLogger("silent");
const producer = createClient(config, silent);
const redis = new Redis(servers.redisUrl);
const place = {
  settings,
  redis,
  github,
  sql: <Row extends object>(text: string, parameters?: unknown[]) =>
    queryOnce<Row>(databaseUrl, text, parameters),
};
const rehearsal = createRehearsal({ previous, next: THIS_VERSION }, settings);
const faults: string[] = [];
try {
  const stream = startEventStream({ producer, ...place }, rehearsal.findApi);
  await rehearsal.play(stream);
  await stream.stop();
  await producer.inbox.removeJobScheduler("schedule-default");
  const unscheduledAt = Date.now();
  if ((await untilAtRest(place, REST_LIMIT_MS)) === null) faults.push("not at rest within a minute");
  const observation = await observe(place, stream.sent, {
    // Its check of alerts is for worlds in which each is new.
    hasGuard: false,
    mayRedisForget: false,
    doublesRuns: false,
  });
  const schedule = await auditSchedule(producer.inbox, unscheduledAt);
  faults.push(...schedule.faults);
  faults.push(...(await rehearsal.end()));
  const violations = audit({ ...observation, leaks: [], unverified: [] });
  faults.push(...violations.map(({ kind, text }) => `${kind}: ${text}`), ...auditAlerts(observation));
  const database = createDatabase(config, silent);
  const verification = await verifyAll(database, { model: null });
  await database.close();
  faults.push(...verification.faults.map(({ text }) => `verify: ${text}`));
  const web = await startRelease(THIS_VERSION, "web", settings);
  faults.push(...(await readEverything(String(web.address), observation.decisions)), ...(await web.stop()));
  report(observation, schedule.fired, summarizeVerification(verification));
} finally {
  rehearsal.killAll();
  await producer.close();
  redis.disconnect();
  await github.close();
  await servers.stop();
}

function report(
  { decisions, dispatches, sent }: Awaited<ReturnType<typeof observe>>,
  fired: number,
  verified: string,
): void {
  for (const { name, events, idle } of rehearsal.phases) {
    console.log(`${name.padEnd(40)} ${String(events).padStart(4)} events`);
    faults.push(...idle.map((who) => `${name}: ${who} did nothing`));
  }
  console.log(
    `${sent.length} events, ${fired} scheduled requests, ${decisions.length} decisions, ${dispatches.length} trainings`,
  );
  console.log(verified);
  console.log(
    faults.length === 0
      ? "Nothing was lost, doubled or unreadable."
      : faults.slice(0, SHOWN_FAULTS).join("\n"),
  );
  if (faults.length > 0) process.exitCode = 1;
}
