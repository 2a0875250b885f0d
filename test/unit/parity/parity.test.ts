import { describe, expect, it } from "vitest";
import { compareWithDag } from "../../../src/core/parity/compare.ts";
import { parityLines } from "../../../src/core/parity/lines.ts";
import type { DagRow, OwnDecision } from "../../../src/core/parity/rows.ts";

const DAY = 86_400_000;
const START = Date.parse("2026-03-02T06:00:00Z");
/** The start plus so many days. */
const at = (days: number): string => new Date(START + days * DAY).toISOString();
const NOW = at(60);

let ids = 0;
function dag(days: number, row: Partial<DagRow> = {}): DagRow {
  ids += 1;
  const notes =
    row.decision === "trigger_mock" ? "MOCK" : "No retraining needed. Triggered alerts: 0, Buffer: 100,000";
  return { id: ids, at: at(days), decision: "no_action", bufferSize: 100_000, notes, ...row };
}
const fires = (days: number, row: Partial<DagRow> = {}): DagRow =>
  dag(days, { decision: "trigger_mock", ...row });

/** A decision on the check of `checkedOn`, which is an alert by default. */
function own(
  days: number,
  {
    checkedOn = 0,
    isAlert = true,
    ...row
  }: Partial<OwnDecision> & { checkedOn?: number; isAlert?: boolean } = {},
): OwnDecision {
  ids += 1;
  return {
    id: ids,
    at: at(days),
    decision: "no_action",
    codes: ["no_drift_alerts"],
    bufferSize: 100_000,
    triggered: isAlert ? 1 : 0,
    window: "7d",
    checkTimes: [at(checkedOn)],
    alerts: isAlert ? [{ id: `148@${at(checkedOn)}`, at: at(checkedOn) }] : [],
    required: { bufferSize: 50_000, alerts: 1 },
    ...row,
  };
}
const triggers = (days: number, row: Parameters<typeof own>[1] = {}): OwnDecision =>
  own(days, { decision: "trigger", codes: ["drift_detected"], ...row });

const compare = (rows: readonly DagRow[], decisions: readonly OwnDecision[]) =>
  compareWithDag(rows, decisions, { since: at(-30), now: NOW });
const explain = (row: DagRow, decision: OwnDecision) =>
  compare([row], [decision]).differences.map(({ code, detail }) => ({ code, detail }));

describe("pairs of the DAG's rows and our decisions", () => {
  it("are those nearest in time with no drift check in between", () => {
    const quiet = own(0.1, { isAlert: false });
    const loud = triggers(1.1, { checkedOn: 1 });
    // Nearer to the second decision, but before its check.
    const { pairs, agreeing, unpaired } = compare([dag(0.9), fires(1.5)], [quiet, loud]);
    expect({ pairs, agreeing, unpaired }).toEqual({ pairs: 2, agreeing: 2, unpaired: [] });
  });

  it("take the nearer one of two decisions on the same state", () => {
    const decisions = [triggers(0.1), own(2, { codes: ["already_acted_on"] })];
    expect(compare([fires(0.5), fires(1.9)], decisions)).toMatchObject({
      agreeing: 1,
      differences: [{ decision: decisions[1]?.id, code: "already_acted_on" }],
    });
  });

  it("leave a row alone if we decided nothing between the two checks around it", () => {
    // The third decision shows that there was a check on day 2.
    const decisions = [own(0.1, { isAlert: false }), own(4.1, { checkTimes: [at(0), at(2), at(4)] })];
    const row = dag(3);
    expect(compare([dag(0.2), row, dag(4.2)], decisions).unpaired).toEqual([
      {
        code: "no_decision_of_ours",
        detail: "the DAG: no_action",
        at: row.at,
        dagRow: row.id,
        decision: null,
      },
    ]);
  });

  it("reach back to the decision before the period, which is not counted itself", () => {
    const [before, unpaired] = [own(0.1, { isAlert: false }), own(-3, { checkedOn: -4, isAlert: false })];
    const parity = compareWithDag([dag(2)], [before, unpaired], { since: at(1), now: NOW });
    expect(parity).toMatchObject({ decisions: 0, pairs: 1, agreeing: 1, unpaired: [] });
  });

  it("name the rows that cannot be paired: without a date, or with a decision that the DAG does not write", () => {
    const rows = [dag(0.2, { at: null }), dag(0.3, { decision: "trigger_all" }), dag(0.4)];
    const { dagRows, pairs, unpaired } = compare(rows, [own(0.1, { isAlert: false })]);
    expect({ dagRows, pairs }).toEqual({ dagRows: 3, pairs: 1 });
    expect(unpaired.map(({ code, detail, dagRow }) => ({ code, detail, dagRow }))).toEqual([
      { code: "unreadable", detail: "no decision_date", dagRow: rows[0]?.id },
      { code: "unreadable", detail: 'decision is "trigger_all"', dagRow: rows[1]?.id },
    ]);
  });

  it("count every row and every decision exactly once", () => {
    const rows = [dag(0.2), fires(1.2), fires(2.2), dag(9, { at: null }), dag(3.5)];
    const decisions = [
      own(0.1, { isAlert: false }),
      triggers(1.1, { checkedOn: 1 }),
      own(8, { checkedOn: 5 }),
    ];
    const { dagRows, pairs, agreeing, differences, unpaired } = compare(rows, decisions);
    expect(pairs).toBe(agreeing + differences.length);
    expect(dagRows).toBe(pairs + unpaired.filter(({ dagRow }) => dagRow !== null).length);
  });
});

describe("the explanation of a difference", () => {
  it("says how often the DAG fired on one alert for which one training was requested", () => {
    const rows = Array.from({ length: 7 }, (_, day) => fires(day + 0.2));
    const { agreeing, differences } = compare(rows, [triggers(0.1)]);
    expect(agreeing).toBe(1);
    expect(differences).toHaveLength(6);
    expect(new Set(differences.map(({ code, detail }) => `${code}: ${detail}`))).toEqual(
      new Set(["already_acted_on: fired 7 times on alert 148"]),
    );
  });

  it.each([
    ["DAG 31,200, Retrigger 700,000, required 50,000", 31_200, 700_000, 50_000],
    ["buffer: 20,000 required, 50,000 in the DAG", 31_200, 31_200, 20_000],
  ])("names the figures if only our buffer was enough: %s", (detail, theirs, ours, required) => {
    const row = dag(0.2, {
      bufferSize: theirs,
      notes: `No retraining needed. Triggered alerts: 1, Buffer: ${theirs}`,
    });
    const decision = triggers(0.1, { bufferSize: ours, required: { bufferSize: required, alerts: 1 } });
    const isMoment = theirs !== ours;
    expect(explain(row, decision)).toEqual([
      { code: isMoment ? "counted_at_another_moment" : "other_threshold", detail },
    ]);
  });

  it.each([
    ["DAG 60,000, Retrigger 40,000, required 50,000", 60_000, 40_000, 50_000],
    ["buffer: 100,000 required, 50,000 in the DAG", 60_000, 60_000, 100_000],
  ])("names the figures if only the DAG's buffer was enough: %s", (detail, theirs, ours, required) => {
    const decision = own(0.1, {
      codes: ["insufficient_buffer"],
      bufferSize: ours,
      required: { bufferSize: required, alerts: 1 },
    });
    const isMoment = theirs !== ours;
    expect(explain(fires(0.2, { bufferSize: theirs }), decision)).toEqual([
      { code: isMoment ? "counted_at_another_moment" : "other_threshold", detail },
    ]);
  });

  it("names the guards that held a training back", () => {
    expect(explain(fires(0.2), own(0.1, { codes: ["cooldown", "quiet_hours"] }))).toEqual([
      { code: "held_by_guard", detail: "cooldown, quiet_hours" },
    ]);
  });

  it("names the criteria that the DAG does not have", () => {
    expect(explain(fires(0.2), own(0.1, { codes: ["severity_too_low"] }))).toEqual([
      { code: "other_threshold", detail: "not in the DAG: severity_too_low" },
    ]);
    expect(explain(dag(0.2), triggers(0.1, { isAlert: false, codes: ["max_age"] }))).toEqual([
      { code: "other_threshold", detail: "not in the DAG: max_age" },
    ]);
  });

  it("names a higher number of alerts, a shorter window, and an alert that left the window in between", () => {
    const two = own(0.1, { required: { bufferSize: 50_000, alerts: 2 } });
    expect(explain(fires(0.2), two)).toEqual([
      { code: "other_threshold", detail: "alerts: 2 required, 1 in the DAG" },
    ]);
    const known = { alerts: [{ id: `148@${at(0)}`, at: at(0) }] };
    const short = own(4, { isAlert: false, window: "3d", ...known });
    expect(explain(fires(3.9), short)).toEqual([
      { code: "other_threshold", detail: "window: 3d here, 7d in the DAG" },
    ]);
    const late = own(7.1, { isAlert: false, ...known });
    expect(explain(fires(6.9), late)).toEqual([
      { code: "counted_at_another_moment", detail: "a check entered or left the window in between" },
    ]);
  });

  it("is never made up: what nothing explains is called unexplained", () => {
    const blind = own(0.1, { isAlert: false, codes: ["no_drift_alerts"] });
    expect(explain(fires(0.2), blind).map(({ code }) => code)).toEqual(["unexplained"]);
    expect(explain(dag(0.2), triggers(0.1)).map(({ code }) => code)).toEqual(["unexplained"]);
    const unknown = own(0.1, { codes: ["insufficient_buffer"], bufferSize: 1 });
    expect(explain(fires(0.2, { bufferSize: null }), unknown).map(({ code }) => code)).toEqual([
      "unexplained",
    ]);
  });

  it("says of a decision without a row that the DAG crashed, or did not run", () => {
    const crashed = own(9, { codes: ["no_recent_drift_checks"], checkTimes: [], isAlert: false });
    const early = own(-1, { checkedOn: -2, isAlert: false });
    const { unpaired } = compare([dag(0.2)], [early, own(0.1, { isAlert: false }), crashed]);
    expect(unpaired.map(({ code, decision }) => ({ code, decision }))).toEqual([
      { code: "no_run_of_the_dag", decision: early.id },
      { code: "dag_crashed_without_checks", decision: crashed.id },
    ]);
  });
});

describe("a source's clock", () => {
  it("is named if it goes backwards, with the first row that shows it", () => {
    const rows = [dag(0.2), dag(1.2), dag(0.9), dag(2)];
    const { doubts } = compare(rows, [own(0.1, { isAlert: false })]);
    expect(doubts).toHaveLength(1);
    expect(doubts[0]).toContain(`row ${rows[2]?.id} (2026-03-03 03:36 UTC): its clock went backwards`);
  });

  it("is named if it is ahead of the database's", () => {
    const [doubt] = compare([dag(60.5)], [own(0.1, { isAlert: false })]).doubts;
    expect(doubt).toContain("dated in the future");
  });
});

describe("the report as text", () => {
  it("fits a terminal, and has the agreement, each explanation and the doubts", () => {
    const rows = [...Array.from({ length: 7 }, (_, day) => fires(day + 0.2)), dag(5, { at: null })];
    const crashed = own(20, { codes: ["no_recent_drift_checks"], checkTimes: [], isAlert: false });
    const report = { model: "films", since: at(-1), until: NOW, ...compare(rows, [triggers(0.1), crashed]) };
    const lines = parityLines(report, "UTC");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const text = lines.join("\n");
    expect(text).toContain("1 of 7 pairs agree (14 %)");
    for (const code of ["already_acted_on", "dag_crashed_without_checks", "unreadable"])
      expect(text).toContain(code);
    expect(text.replaceAll(/\s+/g, " ")).toContain(
      "- fired 7 times on alert 148: 6 times, 2026-03-03 10:48 to 2026-03-08 10:48",
    );
  });
});
