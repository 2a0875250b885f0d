import { afterEach, describe, expect, it } from "vitest";
import { loadSampleData, type ScenarioNumber } from "../../src/embedded/sample-data.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

describe("the guide's test scenarios, from the event to the report", () => {
  it.each([
    [1, "trigger_mock", "drift_detected", 700_000, "FINAL STATUS: RETRAINING TRIGGERED (MOCK)"],
    [
      2,
      "no_action",
      "insufficient_buffer",
      30_000,
      "Buffer size: 30,000 ratings, 50,000 required (20,000 short)",
    ],
    [3, "no_action", "no_drift_alerts", 100_000, "Drift alerts: 0 triggered, 1 required (1 short)"],
    [4, "no_action", "no_recent_drift_checks,no_drift_alerts", 700_000, "Run drift_monitoring first"],
  ] as const)(
    "scenario %i decides %s",
    async (scenario: ScenarioNumber, decision, reason, bufferSize, line) => {
      world = await createWorld({ isEmpty: true });
      await loadSampleData(world.config.databaseUrl, scenario);
      await world.startApp();
      const summary = await world.decide();
      expect(summary).toMatchObject({ decision, reason, bufferSize, model: "default", decisionId: 1 });
      expect(summary.report).toContain(line);

      const [row] = await world.sql("SELECT * FROM retraining_decisions");
      expect(row).toMatchObject({
        run_id: summary.runId,
        cause: "event",
        decision,
        reason,
        buffer_size: String(bufferSize),
        trainer: "mock",
      });
      const dispatches = await world.sql("SELECT state, request FROM retraining_dispatches");
      if (scenario === 1) {
        expect(row).toMatchObject({
          drift_score: 0.0975,
          notes: "MOCK: Would trigger GitHub Actions. Feature: rating_distribution_ks",
          alert_ids: [expect.stringMatching(/^148@\d{4}-/)],
        });
        const { kind, ...recorded } = summary.dispatch?.request ?? {};
        expect(kind).toBe("http");
        expect(dispatches).toEqual([{ state: "sent", request: recorded }]);
      } else {
        expect(row).toMatchObject({ drift_score: null });
        expect(row?.["notes"]).toMatch(/^No retraining needed\. Triggered alerts: \d, Buffer: [\d,]+$/);
        expect(dispatches).toEqual([]);
      }
    },
  );
});
