import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { createRunId } from "../queues/run-id.ts";
import { parseConfig } from "../src/config/config.ts";
import { findNewestAlertTime } from "../src/core/decision-content.ts";
import { Evidence } from "../src/core/evidence.ts";
import { summarizeVerification, type Verification } from "../src/core/verification/verification.ts";
import { DEMO_CONFIG, loadHistory } from "../src/demo/history/history.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { digestCanonical } from "../src/postgres/canonical-hash.ts";
import { openDatabase } from "./open-database.ts";

/**
 * Measures `retrigger verify --all`: `npm run bench:verify`, with `-- --decisions 1000000` for more. The decisions are copies of
 * those of the demo's history, in equal parts of its three models, each with a place in its chain; a fifth of them is measured
 * first, which shows that memory does not grow with the table.
 */
const { values: options } = parseArgs({ options: { decisions: { type: "string", default: "100000" } } });
const DECISIONS = Number(options.decisions);
const KINDS = ["cinematch", "fraud", "search"];
const MODELS = 30;
const BATCH = 500;

/** A row as JSON. */
type Row = Record<string, unknown> & {
  id: number;
  model: string;
  evidence: { lastDecisions: { id: number }[] };
};

const servers = await startEmbeddedServers({ isDurable: false, say: console.error });
try {
  const settings = { DATABASE_URL: servers.databaseUrl, REDIS_URL: servers.redisUrl };
  const pool = new pg.Pool({ connectionString: servers.databaseUrl, max: 1 });
  pool.on("error", () => {});
  const database = openDatabase(servers.databaseUrl);
  await database.migrate();
  await database.close();
  await loadHistory(parseConfig({ ...settings, RETRIGGER_CONFIG: DEMO_CONFIG }), 1);
  const copy = await takeTemplates(pool);
  await copy(Math.ceil(DECISIONS / 5));
  await measure(settings);
  await copy(DECISIONS);
  await measure(settings);
  await pool.end();
} finally {
  await servers.stop();
}

/** Empties the table, and returns what fills it with copies up to a number of decisions. */
async function takeTemplates(pool: pg.Pool): Promise<(upTo: number) => Promise<void>> {
  const { rows } = await pool.query<{ row: Row }>(
    "SELECT to_jsonb(recorded) AS row FROM retraining_decisions AS recorded ORDER BY id",
  );
  const templates = KINDS.map((kind) => rows.map(({ row }) => row).filter(({ model }) => model === kind));
  await pool.query("TRUNCATE retraining_decisions RESTART IDENTITY CASCADE");
  const { rows: known } = await pool.query<{ name: string }>(
    `SELECT column_name AS name FROM information_schema.columns
     WHERE table_name = 'retraining_decisions' AND column_name NOT IN ('sha256', 'previous_sha256')`,
  );
  const columns = known.map(({ name }) => name).join();
  const insert = `INSERT INTO retraining_decisions (${columns})
    SELECT ${columns} FROM jsonb_populate_recordset(NULL::retraining_decisions, $1::jsonb) ORDER BY id`;
  let filled = 0;
  return async (upTo) => {
    console.error(`filling the table with ${upTo} decisions ...`);
    while (filled < upTo) {
      const batch = Array.from({ length: Math.min(BATCH, upTo - filled) }, (_, index) =>
        copyTemplate(templates, filled + index + 1),
      );
      await pool.query(insert, [JSON.stringify(batch)]);
      filled += batch.length;
    }
    await pool.query("VACUUM ANALYZE retraining_decisions");
  };
}

/** A decision like one of the demo: the first of a model saw none before it. */
function copyTemplate(templates: readonly (readonly Row[])[], id: number): Row {
  const place = (id - 1) % MODELS;
  const round = Math.floor((id - 1) / MODELS);
  const own = templates[place % KINDS.length] ?? [];
  const template = own[round === 0 ? 0 : 1 + (round % (own.length - 1))];
  if (!template) throw new Error("the demo has no history");
  const [last, ...older] = template.evidence.lastDecisions;
  const evidence = {
    ...template.evidence,
    lastDecisions: last ? [{ ...last, id: id - MODELS }, ...older] : [],
  };
  const row = {
    ...template,
    id,
    run_id: createRunId(),
    model: `${template.model}-${place}`,
    previous_id: last ? id - MODELS : null,
    evidence,
  };
  return { ...row, content_sha256: `\\x${digestCanonical(contentOf(row)).toString("hex")}` };
}

function contentOf(row: Row) {
  const at = row["next_look_at"];
  return {
    runId: row["run_id"],
    model: row.model,
    cause: row["cause"],
    decision: row["decision"],
    reason: row["reason"],
    reasonCodes: row["reason_codes"],
    bufferSize: row["buffer_size"],
    driftScore: row["drift_score"],
    driftRatio: row["drift_ratio"],
    notes: row["notes"],
    trainer: row["trainer"],
    evidence: row.evidence,
    criteria: row["criteria"],
    policy: row["policy"],
    policyHash: row["policy_hash"],
    alertIds: row["alert_ids"],
    previousId: row["previous_id"],
    nextLookAt: typeof at === "string" ? new Date(at).toISOString() : null,
    newestAlertAt: findNewestAlertTime(Evidence.parse(row.evidence)),
    explanation: row["explanation"],
    forced: row["forced"],
    evaluator: row["evaluator"],
    shadow: row["shadow"],
  };
}

/** Runs the command in a process of its own. */
async function measure(settings: Record<string, string>): Promise<void> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ["dist/src/cli.js", "verify", "--all", "--json"], {
    env: { PATH: process.env["PATH"], ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let peakMb = 0;
  let cpuSeconds = 0;
  const sampling = setInterval(() => {
    void readPeakMb(child.pid ?? 0).then((mb) => (peakMb = Math.max(peakMb, mb)));
    void readCpuSeconds(child.pid ?? 0).then((used) => (cpuSeconds = Math.max(cpuSeconds, used)));
  }, 100);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  clearInterval(sampling);
  const seconds = (performance.now() - startedAt) / 1000;
  const verification = JSON.parse(text) as Verification;
  const each = (seconds * 1e6) / verification.decisions;
  console.log(summarizeVerification(verification));
  console.log(
    `  ${seconds.toFixed(1)} s, ${each.toFixed(0)} µs a decision, ${cpuSeconds.toFixed(1)} s of CPU, peak ${peakMb.toFixed(0)} MB, exit code ${code}`,
  );
}

/** The most memory that a process has had, as Linux counts it; 0 elsewhere. */
async function readPeakMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

/** How long a process has used a core, as Linux counts it in hundredths; 0 elsewhere. */
async function readCpuSeconds(pid: number): Promise<number> {
  const fields = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [user = 0, system = 0] = fields.split(") ")[1]?.split(" ").slice(11, 13).map(Number) ?? [];
  return (user + system) / 100;
}
