import { describe, expect, it } from "vitest";
import { needsOf, parsePolicy } from "../../../src/core/policy.ts";
import { guidePolicy } from "../../support/evidence.ts";
import { judgeWith, policyFrom, TAKEN_AT, withChecks } from "./tables.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const ago = (ms: number): string => new Date(TAKEN_AT - ms).toISOString();
const ahead = (ms: number): string => ago(-ms);
const alert = { triggered: true };

/** The code with which a guard objects to a trigger, or null, and when it is looked at again. */
function object(
  guards: object,
  changes: Parameters<typeof withChecks>[1] = {},
  checks: Parameters<typeof withChecks>[0] = [],
) {
  const { failed, nextLookAt } = judgeWith(
    policyFrom({ when: { bufferSize: 1 }, guards }),
    withChecks(checks, changes),
  );
  return { code: failed.join(",") || null, nextLookAt };
}

const passes = { code: null, nextLookAt: null };

describe("cooldown", () => {
  const requested = (ms: number) => ({ trainings: { lastRequestedAt: ago(ms) } });
  const succeeded = (ms: number) => ({
    trainings: { lastSucceeded: { decisionId: 1, at: ago(ms), bufferSize: null } },
  });

  it.each([
    ["no training", "7d", {}, passes],
    [
      "a training one millisecond too recent",
      "7d",
      requested(7 * DAY - 1),
      { code: "cooldown", nextLookAt: ahead(1) },
    ],
    ["a training exactly so long ago", "7d", requested(7 * DAY), passes],
    ["a success, if trainings count", "7d", succeeded(DAY), passes],
    [
      "a success too recent, if successes count",
      { for: "7d", since: "success" },
      succeeded(DAY),
      { code: "cooldown", nextLookAt: ahead(6 * DAY) },
    ],
    ["a failed training, if successes count", { for: "7d", since: "success" }, requested(DAY), passes],
  ])("with %s", (_, cooldown, changes, expected) => {
    expect(object({ cooldown }, changes)).toEqual(expected);
  });
});

describe("budget and totalBudget", () => {
  const requests = (...times: number[]) => times.map(ago);

  it.each([
    ["no training", "budget", {}, passes],
    ["one training left", "budget", { requestedAt: requests(HOUR) }, passes],
    [
      "a budget just spent",
      "budget",
      { requestedAt: requests(HOUR, 2 * DAY) },
      { code: "budget_spent", nextLookAt: ahead(5 * DAY) },
    ],
    [
      "the older training at the edge of the period",
      "budget",
      { requestedAt: requests(HOUR, 7 * DAY) },
      passes,
    ],
    [
      "the older training one millisecond inside",
      "budget",
      { requestedAt: requests(HOUR, 7 * DAY - 1) },
      { code: "budget_spent", nextLookAt: ahead(1) },
    ],
    [
      "more trainings than allowed",
      "budget",
      { requestedAt: requests(1, HOUR, DAY) },
      { code: "budget_spent", nextLookAt: ahead(7 * DAY - HOUR) },
    ],
    [
      "a budget of all models spent by others",
      "totalBudget",
      { requestedByAll: requests(HOUR, DAY) },
      { code: "total_budget_spent", nextLookAt: ahead(6 * DAY) },
    ],
    [
      "a budget of all models, of which one is left",
      "totalBudget",
      { requestedAt: requests(1, 2), requestedByAll: requests(1) },
      passes,
    ],
  ])("with %s", (_, guard, trainings, expected) => {
    expect(object({ [guard]: { atMost: 2, per: "7d" } }, { trainings })).toEqual(expected);
  });
});

describe("dataQuality", () => {
  const quality = (ms: number, triggered = true) => ({ feature: "null_rate", triggered, ago: ms });
  const guards = { dataQuality: { veto: ["null_rate", "rows"], within: "1d" } };

  it.each([
    ["no check", [], passes],
    ["an alert on another feature", [{ ...alert, feature: "ks" }], passes],
    ["an alert", [quality(HOUR)], { code: "data_quality", nextLookAt: ahead(23 * HOUR) }],
    ["an alert, then a check without", [quality(0, false), quality(HOUR)], passes],
    ["an alert at the edge of the window", [quality(DAY)], passes],
    ["an alert one millisecond younger", [quality(DAY - 1)], { code: "data_quality", nextLookAt: ahead(1) }],
    [
      "an alert that a training was already for",
      [{ ...quality(HOUR), answeredBy: 2 }],
      { code: "data_quality", nextLookAt: ahead(23 * HOUR) },
    ],
    [
      "alerts on two features",
      [quality(HOUR), { ...quality(2 * HOUR), feature: "rows" }],
      { code: "data_quality", nextLookAt: ahead(23 * HOUR) },
    ],
  ])("with %s", (_, checks, expected) => {
    expect(object(guards, {}, checks)).toEqual(expected);
  });
});

describe("dataQuality beside a sampleFloor", () => {
  it("vetoes whatever the number of samples", () => {
    const policy = policyFrom({
      when: { sampleFloor: 100, bufferSize: 1 },
      guards: { dataQuality: { veto: ["null_rate"] } },
    });
    const checks = [
      { feature: "null_rate", triggered: true, samples: 1 },
      { feature: "ks", samples: 100 },
    ];
    expect(judgeWith(policy, withChecks(checks)).reason).toBe("data_quality");
  });
});

describe("snooze", () => {
  const until = (text: string) => ({
    interventions: { snooze: { until: text, reason: "a release", by: "operator" } },
  });

  it.each([
    ["one that ends in a millisecond", until(ahead(1)), { code: "snoozed", nextLookAt: ahead(1) }],
    ["one that ends now", until(ahead(0)), passes],
    ["none", {}, passes],
  ])("with %s", (_, changes, expected) => {
    expect(object({}, changes)).toEqual(expected);
  });

  it("does not count if it is off", () => {
    expect(object({ snooze: "off" }, until(ahead(DAY)))).toEqual(passes);
  });
});

describe("approval", () => {
  const request = (state: string, changes: object = {}) => ({
    interventions: {
      approval: {
        decisionId: 1,
        state,
        requestedAt: ago(HOUR),
        expiresAt: ahead(HOUR),
        answeredAt: null,
        by: null,
        reason: null,
        ...changes,
      },
    },
  });
  const awaiting = (ms: number) => ({ code: "awaiting_approval", nextLookAt: ahead(ms) });

  it.each([
    ["none was asked for", {}, awaiting(DAY)],
    ["it is open", request("open"), awaiting(HOUR)],
    ["it is open but expired now", request("open", { expiresAt: ahead(0) }), awaiting(DAY)],
    ["it was given", request("approved"), passes],
    ["it was given and expires in a millisecond", request("approved", { expiresAt: ahead(1) }), passes],
    ["it was given but has expired", request("approved", { expiresAt: ahead(0) }), awaiting(DAY)],
    ["it was refused", request("rejected", { answeredAt: ago(HOUR) }), awaiting(23 * HOUR)],
    ["it was refused a day ago", request("rejected", { answeredAt: ago(DAY) }), awaiting(DAY)],
    ["it was used", request("used"), awaiting(DAY)],
    ["it was void", request("void"), awaiting(DAY)],
  ])("if %s", (_, changes, expected) => {
    expect(object({ approval: "24h" }, changes)).toEqual(expected);
  });

  it("is not asked for what another guard forbids, or what the condition does not call for", () => {
    const snoozed = { interventions: { snooze: { until: ahead(1), reason: "a release", by: "operator" } } };
    expect(object({ approval: "24h" }, snoozed).code).toBe("snoozed");
    const policy = policyFrom({ when: { driftAlerts: 1 }, guards: { approval: "24h" } });
    expect(judgeWith(policy, withChecks([])).reason).toBe("no_drift_alerts");
  });
});

describe("trainingInFlight", () => {
  const flight = (until: string | null) => ({
    decisionId: 1,
    trainer: "github",
    state: "running",
    since: ago(HOUR),
    until,
    url: null,
  });
  const flights = (...until: (string | null)[]) => ({ inFlight: until.map(flight) });

  it.each([
    ["without a limit", flights(null), { code: "training_in_flight", nextLookAt: null }],
    ["with a limit", flights(ahead(1)), { code: "training_in_flight", nextLookAt: ahead(1) }],
    ["that has reached its limit", flights(ahead(0)), passes],
    ["beside another one", flights(ahead(1), ahead(5)), { code: "training_in_flight", nextLookAt: ahead(5) }],
    ["beside one without a limit", flights(ahead(1), null), { code: "training_in_flight", nextLookAt: null }],
  ])("a training %s", (_, changes, expected) => {
    expect(object({}, changes)).toEqual(expected);
  });
});

describe("RETRIGGER_GUARD=off", () => {
  const base = guidePolicy({ retriggerGuard: false });

  it.each([
    [{}, "off", "off"],
    [{ alreadyActedOn: "on" }, {}, { base: "1h" }],
    [{ alreadyActedOn: null }, {}, { base: "1h" }],
    [{ alreadyActedOn: "on", retryBackoff: "off" }, {}, "off"],
    [{ alreadyActedOn: "off" }, "off", "off"],
  ])(
    "switches the backoff off too, until the file says otherwise: %j",
    (given, alreadyActedOn, retryBackoff) => {
      const { guards } = parsePolicy({ guards: given }, base, [], []);
      expect([guards["alreadyActedOn"], guards["retryBackoff"]]).toEqual([alreadyActedOn, retryBackoff]);
    },
  );
});

describe("retryBackoff without alreadyActedOn", () => {
  const judgeUnguarded = (checks: Parameters<typeof withChecks>[0]) =>
    judgeWith(policyFrom({ when: { driftAlerts: 1 }, guards: { alreadyActedOn: "off" } }), withChecks(checks))
      .reason;
  const held = { ...alert, failed: { endedAt: ago(0), failures: 1 } };

  it("holds back the alerts of a failed training", () => {
    expect(judgeUnguarded([held])).toBe("retry_backoff");
  });

  it("lets an alert whose training succeeded start another one", () => {
    expect(judgeUnguarded([{ ...alert, answeredBy: 1 }])).toBe("drift_detected");
    expect(judgeUnguarded([held, { ...alert, answeredBy: 1 }])).toBe("drift_detected");
  });

  it("holds back an alert whose first training succeeded if the last one failed", () => {
    const policy = policyFrom({ when: { driftAlerts: 1 }, guards: { alreadyActedOn: "off" } });
    const trainings = { lastFailed: { decisionId: 2, endedAt: ago(0), failures: 1 } };
    const evidence = withChecks([{ ...alert, answeredBy: 1 }], { trainings });
    expect(judgeWith(policy, evidence).reason).toBe("retry_backoff");
  });

  it.each([
    ["alerts may start several trainings", { driftAlerts: 1 }, { alreadyActedOn: "off" }, true],
    ["the size alone calls for a training", { any: [{ driftAlerts: 1 }, { bufferSize: 5 }] }, {}, true],
    ["every training needs an alert", [{ driftAlerts: 1 }, { bufferSize: 5 }], {}, false],
    ["nothing is held back", { bufferSize: 5 }, { retryBackoff: "off" }, false],
  ])("reads the last training if %s: %j", (_, when, guards, expected) => {
    expect(needsOf(policyFrom({ when, guards })).lastTraining).toBe(expected);
  });
});

describe("alreadyActedOn and retryBackoff", () => {
  const failed = (ms: number, failures = 1) => ({ endedAt: ago(ms), failures });
  const lastFailed = (ms: number) => ({ lastFailed: { decisionId: 2, endedAt: ago(ms), failures: 1 } });
  const old = { firstDecisionAt: ago(90 * DAY) };
  const alerts = { driftAlerts: 1 };
  const alertsOrAge = { any: [alerts, { maxAge: "60d" }] };

  it.each([
    ["an alert that a training was for", alerts, [{ ...alert, answeredBy: 1 }], {}, "already_acted_on"],
    [
      "a score that a training was for",
      { severity: 1 },
      [{ score: 2, threshold: 1, answeredBy: 1 }],
      {},
      "already_acted_on",
    ],
    [
      "an alert that a training was for, while the age calls for one",
      alertsOrAge,
      [{ ...alert, answeredBy: 1 }],
      old,
      null,
    ],
    [
      "an alert whose training failed just now",
      alerts,
      [{ ...alert, failed: failed(0) }],
      {},
      "retry_backoff",
    ],
    ["an alert whose training failed an hour ago", alerts, [{ ...alert, failed: failed(HOUR) }], {}, null],
    [
      "the second failure in a row",
      alerts,
      [{ ...alert, failed: failed(2 * HOUR - 1, 2) }],
      {},
      "retry_backoff",
    ],
    ["a week after many failures", alerts, [{ ...alert, failed: failed(7 * DAY, 60) }], {}, null],
    [
      "a training that failed, while the age calls for one",
      { maxAge: "60d" },
      [],
      { ...old, ...lastFailed(HOUR - 1) },
      "retry_backoff",
    ],
    ["the same after the backoff", { maxAge: "60d" }, [], { ...old, ...lastFailed(HOUR) }, null],
    ["a new alert after a failure", alertsOrAge, [alert], { ...old, ...lastFailed(1) }, null],
  ])("with %s", (_, when, checks, trainings, code) => {
    const { failed: codes } = judgeWith(policyFrom({ when }), withChecks(checks, { trainings }));
    expect(codes.join(",") || null).toBe(code);
  });

  it("look again when the age is reached, although the alert that carries the condition is acted on", () => {
    const trainings = { firstDecisionAt: ago(59 * DAY) };
    const evidence = withChecks([{ ...alert, answeredBy: 1 }], { trainings });
    expect(judgeWith(policyFrom({ when: alertsOrAge }), evidence)).toMatchObject({
      reason: "already_acted_on",
      nextLookAt: ahead(DAY),
    });
  });
});

describe("a forced decision", () => {
  const override = { id: 1, by: "operator", reason: "a demonstration" };
  const interventions = { override, snooze: { until: ahead(DAY), reason: "a release", by: "operator" } };

  it("passes over guards, and lists those that objected", () => {
    const verdict = judgeWith(policyFrom({ when: { bufferSize: 1 } }), withChecks([], { interventions }));
    expect(verdict).toMatchObject({
      decision: "trigger",
      forced: { by: "operator", reason: "a demonstration" },
    });
    expect(verdict.guards.filter(({ overridden }) => overridden).map(({ id }) => id)).toEqual(["snooze"]);
  });

  it("does not pass over criteria", () => {
    const verdict = judgeWith(policyFrom({ when: { bufferSize: 2 } }), withChecks([], { interventions }));
    expect(verdict).toMatchObject({ decision: "no_action", reason: "insufficient_buffer" });
  });
});

describe("a new alert that does not call for a training", () => {
  const trainings = {
    lastFailed: { decisionId: 9, endedAt: ago(0), failures: 6 },
    firstDecisionAt: ago(100 * DAY),
    lastSucceeded: { decisionId: 1, at: ago(90 * DAY), bufferSize: null },
  };

  it.each([
    [
      "on another feature",
      { any: [{ features: { atLeast: 1, of: ["ks"] } }, { maxAge: "60d" }] },
      { feature: "null_rate" },
    ],
    ["one of too few", { any: [{ driftAlerts: 3 }, { bufferSize: 1 }] }, {}],
    [
      "on too few samples",
      { any: [{ all: [{ driftAlerts: 1 }, { sampleFloor: 1000 }] }, { bufferSize: 1 }] },
      { samples: 3 },
    ],
  ])("%s leaves the failed training's backoff as it is", (_, when, check) => {
    const evidence = withChecks([{ ...alert, ...check }], { trainings });
    expect(judgeWith(policyFrom({ when, guards: {} }), evidence).reason).toBe("retry_backoff");
  });

  it("one that does lifts it, whatever other trainings were for", () => {
    const policy = policyFrom({ when: { driftAlerts: 1 }, guards: { alreadyActedOn: "off" } });
    const failed = { ...alert, failed: { endedAt: ago(0), failures: 6 } };
    const evidence = withChecks([alert, failed, { ...alert, answeredBy: 1 }], { trainings });
    expect(judgeWith(policy, evidence).reason).toBe("drift_detected");
  });

  it("one that does lifts it", () => {
    const when = { any: [{ driftAlerts: 1 }, { bufferSize: 1e9 }] };
    const evidence = withChecks([alert], { trainings });
    expect(judgeWith(policyFrom({ when, guards: {} }), evidence).reason).toBe("drift_detected");
  });
});
