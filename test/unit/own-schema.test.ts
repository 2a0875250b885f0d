import { describe, expect, it } from "vitest";
import { createQualifier } from "../../src/postgres/own-schema.ts";

const qualify = createQualifier("order");

describe("the schema before the names of our tables", () => {
  it.each([
    [
      "SELECT * FROM retraining_decisions AS d, retrigger_audit",
      'SELECT * FROM "order".retraining_decisions AS d, "order".retrigger_audit',
    ],
    [
      "UPDATE retraining_dispatches SET state = 'sent' WHERE retraining_dispatches.id = 1",
      'UPDATE "order".retraining_dispatches SET state = \'sent\' WHERE "order".retraining_dispatches.id = 1',
    ],
    [
      "INSERT INTO retraining_pruned(model) VALUES ($1)",
      'INSERT INTO "order".retraining_pruned(model) VALUES ($1)',
    ],
  ])("is added: %s", (sql, qualified) => {
    expect(qualify(sql)).toBe(qualified);
  });

  it.each([
    ["the tables of others", "SELECT FROM drift_alerts, ratings_buffer, retraining_decisions_of_mine"],
    ["a table with a schema", "SELECT FROM other.retraining_decisions"],
    ["a quoted table of the settings", 'SELECT FROM "retraining_decisions", "films"."retraining_events"'],
    ["texts", `SELECT 'retraining_decisions', 'it''s retraining_events', E'\\\\''retraining_events'`],
    ["columns and aliases", "SELECT d.retraining_events, retrigger_ids FROM x AS d"],
    ["comments", "SELECT 1 -- retraining_decisions\n"],
    ["names of other objects", "SELECT nextval('retraining_decisions_id_seq'), retrigger_name_model()"],
    ["the name of a prepared statement", "EXECUTE retrigger_0123456789abcdef ('retraining_decisions')"],
  ])("is not added to %s", (_, sql) => {
    expect(qualify(sql)).toBe(sql);
  });

  it("is not added twice", () => {
    const once = qualify("SELECT FROM retraining_decisions");
    expect(qualify(once)).toBe(once);
  });
});
