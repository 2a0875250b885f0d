import { afterEach, describe, expect, it } from "vitest";
import { Gathered } from "../../queues/jobs.ts";
import { retryStage } from "../support/stages.ts";
import { addCheck, createWorld, failureOf, until, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

describe("a chain that is retried after its evidence has become too old", () => {
  it("records nothing and reports it, and a follow-up gathers new evidence", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await addCheck(world);
    await world.startApp({ evidenceMaxAgeSeconds: 1 });
    await world.sql("ALTER TABLE retraining_dispatches RENAME TO hidden");
    await world.sql("CREATE VIEW retraining_dispatches AS SELECT * FROM hidden WHERE false");
    await world.sql("CREATE RULE refuse AS ON INSERT TO retraining_dispatches DO INSTEAD SELECT 1 / 0");
    const failure = await failureOf(world.decide({ runId: "yesterday" }));
    expect(failure).toContain("Stage act");
    expect(await world.sql("SELECT FROM retraining_decisions")).toEqual([]);

    // The evidence changes, the fault is fixed, and an operator presses Retry.
    await world.sql("DELETE FROM drift_alerts");
    await world.sql("DROP VIEW retraining_dispatches; ALTER TABLE hidden RENAME TO retraining_dispatches");
    const [event] = await world.sql<{ run_id: string }>("SELECT run_id FROM retraining_events");
    const runId = event?.run_id ?? "";
    const gathered = await world.redis.hget(`${world.config.redisPrefix}:gather:${runId}`, "returnvalue");
    await untilEvidenceIsOld(Gathered.parse(JSON.parse(gathered ?? "null")).evidence.takenAt);
    await retryStage(world, "act", runId);

    const [row] = await until("the follow-up decided", async () => {
      const rows = await world.sql<{ run_id: string; reason: string; cause: string }>(
        "SELECT run_id, reason, cause FROM retraining_decisions",
      );
      return rows.length > 0 ? rows : null;
    });
    expect(row).toMatchObject({ cause: "followup", reason: "no_recent_drift_checks,no_drift_alerts" });
    const [moved] = await world.sql("SELECT run_id FROM retraining_events");
    expect(moved).toEqual({ run_id: row?.run_id });
    const summary = await world.redis.hget(`${world.config.redisPrefix}:summarize:${runId}`, "returnvalue");
    expect(JSON.parse(summary ?? "{}")).toMatchObject({ decision: "superseded", supersededBy: row?.run_id });
    expect(summary).toContain("the evidence is too old to act on");
  });
});

describe("a stage that is run again after its run has decided", () => {
  it("returns the recorded decision with the evidence of that time", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await addCheck(world);
    await world.startApp({ evidenceMaxAgeSeconds: 1 });
    const { runId, bufferSize } = await world.decide();
    await world.sql("INSERT INTO ratings_buffer VALUES (1, 1, 1, 1, 'late')");
    const [row] = await world.sql<{ time: string }>(
      "SELECT evidence ->> 'takenAt' AS time FROM retraining_decisions",
    );
    await untilEvidenceIsOld(row?.time);
    await retryStage(world, "act", runId);
    const job = await until("act ran again", async () => {
      const values = await world.redis.hmget(
        `${world.config.redisPrefix}:act:${runId}`,
        "returnvalue",
        "ats",
      );
      return values[0] && Number(values[1]) === 2 ? values[0] : null;
    });
    expect(JSON.parse(job)).toMatchObject({
      recording: { outcome: "recorded", decision: "trigger_mock" },
      evidence: { buffer: { size: bufferSize } },
    });
    expect(await world.sql("SELECT FROM retraining_decisions")).toHaveLength(1);
    expect(await world.redis.exists(`${world.config.redisPrefix}:decision-lock:default`)).toBe(0);
  });
});

/** Waits until evidence is older than its maximum age of one second, by the database's clock. */
async function untilEvidenceIsOld(takenAt: string | undefined): Promise<void> {
  await until("the evidence is too old", async () => {
    const [row] = await world.sql<{ isOld: boolean }>(
      `SELECT $1::timestamptz < now() - interval '1 second' AS "isOld"`,
      [takenAt],
    );
    return row?.isOld;
  });
}
