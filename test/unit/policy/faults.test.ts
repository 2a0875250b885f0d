import { describe, expect, it } from "vitest";
import { listFaults, policyFrom } from "./tables.ts";

const GUIDE_WHEN = {
  all: [
    { recentDriftChecks: { within: "7d" } },
    { driftAlerts: { atLeast: 1, within: "7d" } },
    { bufferSize: { atLeast: 50_000 } },
  ],
};

describe("a policy", () => {
  it("that is left out is the guide's", () => {
    expect(policyFrom(undefined).when).toEqual(GUIDE_WHEN);
    expect(policyFrom({ guards: { cooldown: "7d" } }).when).toEqual(GUIDE_WHEN);
  });

  it("keeps the guards that it does not name", () => {
    expect(policyFrom({ guards: { cooldown: "168h", alreadyActedOn: "off" } }).guards).toEqual({
      alreadyActedOn: "off",
      retryBackoff: { base: "1h" },
      trainingInFlight: {},
      snooze: {},
      cooldown: { for: "7d", since: "training" },
    });
  });

  it("can be written in several ways", () => {
    const { when } = policyFrom({ when: [{ driftAlerts: 2 }, { maxAge: "60d" }] });
    expect(when).toEqual({
      all: [{ driftAlerts: { atLeast: 2, within: "7d" } }, { maxAge: { atLeast: "60d" } }],
    });
    expect(policyFrom({ when: { driftAlerts: 2, maxAge: "1440h" } }).when).toEqual(when);
    expect(
      policyFrom({ when: { all: [{ driftAlerts: { atLeast: 2 } }, { maxAge: { atLeast: "60d" } }] } }).when,
    ).toEqual(when);
  });

  it("is the same once it has been written and parsed again", () => {
    const policy = policyFrom({
      when: { atLeast: 2, of: [{ features: { weights: { ks: 2 } } }, { severity: 2 }, { quantile: null }] },
      guards: { quietHours: { days: ["sat"] }, approval: "on" },
    });
    expect(policyFrom(JSON.parse(JSON.stringify(policy)))).toEqual(policy);
  });
});

function manyCriteria(length: number) {
  return Array.from({ length }, () => ({ driftAlerts: 1 }));
}

describe("a fault in a condition", () => {
  const at = "policy.when";

  it.each<[string, unknown, string]>([
    ["an empty list", [], `${at}: expected at least one criterion`],
    ["an empty mapping", {}, `${at}: expected at least one criterion`],
    ["an empty combination", { any: [] }, `${at}.any: expected at least one criterion`],
    ["a plain value", "driftAlerts", `${at}: expected a criterion`],
    ["no list", { any: { driftAlerts: 1 } }, `${at}.any: expected a list of criteria`],
    [
      "a misspelled criterion",
      { bufersize: 1 },
      `${at}.bufersize: "bufersize" is not a criterion: did you mean bufferSize?`,
    ],
    ["a misspelled combination", { al: [] }, `${at}.al: "al" is not a criterion: did you mean all?`],
    [
      "an unknown criterion",
      { zzz: 1 },
      `${at}.zzz: "zzz" is not a criterion: it is one of recentDriftChecks, `,
    ],
    [
      "a misspelled setting",
      { driftAlerts: { atleast: 1 } },
      `${at}.driftAlerts.atleast: "atleast" is not a setting of driftAlerts: did you mean atLeast?`,
    ],
    ["a number as text", { bufferSize: "50k" }, `${at}.bufferSize: expected a whole number`],
    ["a number that is not whole", { driftAlerts: 1.5 }, `${at}.driftAlerts: expected a whole number`],
    [
      "a number below the least",
      { driftAlerts: 0 },
      `${at}.driftAlerts: expected a whole number from 1 to 1000`,
    ],
    ["a duration without a unit", { maxAge: 60 }, `${at}.maxAge: expected a duration such as 7d`],
    [
      "a duration that is too long",
      { maxAge: "9999d" },
      `${at}.maxAge: expected a duration from 1m to 3650d`,
    ],
    [
      "a missing setting",
      { waitingCost: { assume: "1h" } },
      `${at}.waitingCost: the setting "hourWorth" is missing`,
    ],
    [
      "more than there is",
      { atLeast: 3, of: [{ driftAlerts: 1 }, { maxAge: "1d" }] },
      `${at}.atLeast: expected at most 2`,
    ],
    [
      "none of several",
      { atLeast: 0, of: [{ driftAlerts: 1 }] },
      `${at}.atLeast: expected a whole number of at least 1`,
    ],
    ["atLeast without of", { atLeast: 1 }, `${at}.atLeast: expected both, such as { atLeast: 2, of: [...] }`],
    [
      "something beside atLeast and of",
      { atLeast: 1, of: [{ driftAlerts: 1 }], maxAge: "1d" },
      `${at}.maxAge: "maxAge" cannot stand beside atLeast and of`,
    ],
    [
      "no reason to retrain",
      { recentDriftChecks: "7d", sampleFloor: 200 },
      `${at}: expected a criterion that is a reason to retrain`,
    ],
    [
      "a way around every reason to retrain",
      { any: [{ recentDriftChecks: "7d" }, { driftAlerts: 1 }] },
      "recentDriftChecks alone would retrain all the time",
    ],
    [
      "what always holds",
      { any: [{ driftAlerts: 1 }, { bufferSize: 0 }] },
      `${at}: it always holds, because bufferSize: 0 does`,
    ],
    [
      "what holds whenever drift monitoring runs",
      { atLeast: 2, of: [{ bufferSize: 0 }, { recentDriftChecks: "7d" }, { driftAlerts: 1 }] },
      "bufferSize and recentDriftChecks alone would retrain all the time",
    ],
    [
      "two floors",
      [{ sampleFloor: 1 }, { sampleFloor: 2 }, { driftAlerts: 1 }],
      `${at}: sampleFloor applies to the whole policy`,
    ],
    [
      "more features than named",
      { features: { atLeast: 3, of: ["ks", "mean"] } },
      `${at}.features.atLeast: expected at most 2`,
    ],
    [
      "more than all weights",
      { features: { atLeast: 3, weights: { ks: 2 } } },
      `${at}.features.atLeast: expected at most 2`,
    ],
    [
      "names and weights",
      { features: { of: ["ks"], weights: { ks: 1 } } },
      `${at}.features.of: features takes either of or weights`,
    ],
    ["a feature twice", { features: { of: ["ks", "ks"] } }, `${at}.features.of: expected each feature once`],
    [
      "both worst and mean",
      { severity: { worst: 1, mean: 1 } },
      `${at}.severity: severity takes either worst or mean`,
    ],
    ["neither worst nor mean", { severity: {} }, `${at}.severity: severity takes either worst or mean`],
    [
      "a reach shorter than the window",
      { quantile: { within: "7d", reach: "1d" } },
      `${at}.quantile.reach: expected at least as long as within`,
    ],
  ])("is reported where it is: %s", (_, when, expected) => {
    const faults = listFaults({ when });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(expected);
  });

  it("does not hide another one", () => {
    expect(
      listFaults({
        when: [{ bufferSize: "50k" }, { any: [{ driftAlert: 1 }, {}] }],
        guard: {},
        guards: { coolDown: "1d" },
      }),
    ).toEqual([
      'policy.guard: "guard" is not part of a policy: did you mean guards?',
      "policy.when.0.bufferSize: expected a whole number",
      'policy.when.1.any.0.driftAlert: "driftAlert" is not a criterion: did you mean driftAlerts?',
      "policy.when.1.any.1: expected at least one criterion: an empty condition says nothing",
      'policy.guards.coolDown: "coolDown" is not a guard: did you mean cooldown?',
    ]);
  });

  it("is a tree that is too deep or too large", () => {
    const deep = Array.from({ length: 6 }).reduce<unknown>((inner) => ({ all: [inner] }), { driftAlerts: 1 });
    expect(listFaults({ when: deep }).join("")).toContain("expected at most 6 levels");
    expect(listFaults({ when: manyCriteria(31) }).join("")).toContain("expected at most 30 criteria");
    expect(listFaults({ when: manyCriteria(30) })).toEqual([]);
  });
});

describe("a fault in a guard", () => {
  const at = "policy.guards";

  it.each<[string, Record<string, unknown>, string]>([
    [
      "quiet hours without days or hours",
      { quietHours: {} },
      `${at}.quietHours: quietHours needs days or hours: else it would never end`,
    ],
    [
      "quiet hours on every day",
      { quietHours: { days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] } },
      `${at}.quietHours.days: expected at least one day without quiet hours`,
    ],
    [
      "hours of no length",
      { quietHours: { hours: "22:00-22:00" } },
      `${at}.quietHours.hours: expected two different times`,
    ],
    [
      "hours that do not exist",
      { quietHours: { hours: "22:00-24:00" } },
      `${at}.quietHours.hours: expected hours such as 22:00-06:00`,
    ],
    [
      "an unknown day",
      { quietHours: { days: ["saturday"] } },
      `${at}.quietHours.days.0: expected a day: mon, tue`,
    ],
    [
      "an unknown zone",
      { quietHours: { days: ["sat"], zone: "Paris" } },
      `${at}.quietHours.zone: expected an IANA time zone such as Europe/Paris`,
    ],
    [
      "a cooldown without a length",
      { cooldown: { since: "success" } },
      `${at}.cooldown: the setting "for" is missing`,
    ],
    ["a cooldown that never ends", { cooldown: "forever" }, `${at}.cooldown: expected a duration such as 7d`],
    [
      "a cooldown since something else",
      { cooldown: { for: "1d", since: "failure" } },
      `${at}.cooldown.since: expected training or success`,
    ],
    [
      "a budget of nothing",
      { budget: { atMost: 0, per: "7d" } },
      `${at}.budget.atMost: expected a whole number from 1 to 1000`,
    ],
    ["a budget without a period", { budget: { atMost: 1 } }, `${at}.budget: the setting "per" is missing`],
    ["a budget as a plain value", { budget: 4 }, `${at}.budget: expected a mapping with atMost and per`],
    [
      "a veto of no feature",
      { dataQuality: { veto: [] } },
      `${at}.dataQuality.veto: expected at least one feature`,
    ],
    ["settings of a guard that has none", { snooze: "7d" }, `${at}.snooze: expected on or off`],
    [
      "a backoff that is too long",
      { retryBackoff: "8d" },
      `${at}.retryBackoff: expected a duration from 1s to 7d`,
    ],
    [
      "an approval that expires at once",
      { approval: "1s" },
      `${at}.approval: expected a duration from 1m to 365d`,
    ],
    [
      "a misspelled guard",
      { quiethour: {} },
      `${at}.quiethour: "quiethour" is not a guard: did you mean quietHours?`,
    ],
  ])("is reported where it is: %s", (_, guards, expected) => {
    const faults = listFaults({ guards });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(expected);
  });
});
