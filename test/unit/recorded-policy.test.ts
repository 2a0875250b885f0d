import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Fault } from "../../src/core/fields.ts";
import { GUIDE_POLICY, parsePolicy, Policy } from "../../src/core/policy.ts";
import { toRecordedPolicy } from "../../src/core/recorded-policy.ts";
import { hashPolicy } from "../../src/postgres/canonical-hash.ts";
import { guidePolicy } from "../support/evidence.ts";
import { cases } from "./policy/arbitraries.ts";

function parse(value: unknown): Policy {
  const faults: Fault[] = [];
  const policy = parsePolicy(value, GUIDE_POLICY, [], faults);
  expect(faults).toEqual([]);
  return policy;
}

describe("a policy as recorded", () => {
  it("has the form of earlier versions if it is the guide's, with any thresholds", () => {
    const policy = guidePolicy({ minBufferSize: 7, lookbackHours: 5, retriggerGuard: false });
    expect(toRecordedPolicy(policy)).toEqual({
      minBufferSize: 7,
      lookbackHours: 5,
      minAlertsTriggered: 1,
      retriggerGuard: false,
      inFlightGuard: true,
      backoffSeconds: 3_600,
    });
    expect(Policy.parse(toRecordedPolicy(policy))).toEqual(policy);
  });

  it("keeps the hash that earlier versions computed for the default policy", () => {
    expect(hashPolicy(GUIDE_POLICY)).toBe(hashPolicy(parse({ guards: { retryBackoff: "60m" } })));
    expect(hashPolicy(GUIDE_POLICY)).toMatchInlineSnapshot(`"96974dec18bc"`);
  });

  it("keeps its hash if the file brings a guard back that RETRIGGER_GUARD=off switched off", () => {
    const policy = parsePolicy(
      { guards: { alreadyActedOn: "on" } },
      guidePolicy({ retriggerGuard: false }),
      [],
      [],
    );
    expect(policy.guards).toMatchObject({ alreadyActedOn: {}, retryBackoff: { base: "1h" } });
    const handedOn = Policy.parse(JSON.parse(JSON.stringify(toRecordedPolicy(policy))));
    expect(hashPolicy(handedOn)).toBe(hashPolicy(policy));
  });

  it("keeps a backoff of its own when the guard of the defaults comes back", () => {
    const defaults = parse({ guards: { alreadyActedOn: "off", retryBackoff: "2h" } });
    const { guards } = parsePolicy({ guards: { alreadyActedOn: "on" } }, defaults, [], []);
    expect(guards["retryBackoff"]).toEqual({ base: "2h" });
  });

  it("keeps its hash on its way through the stages", () => {
    fc.assert(
      fc.property(cases, ({ policy }) => {
        const handedOn = Policy.parse(JSON.parse(JSON.stringify(toRecordedPolicy(policy))));
        expect(hashPolicy(handedOn)).toBe(hashPolicy(policy));
      }),
    );
  });

  it.each([
    { when: [{ recentDriftChecks: "7d" }, { driftAlerts: 1 }, { bufferSize: 1 }, { maxAge: "60d" }] },
    { when: [{ recentDriftChecks: "7d" }, { driftAlerts: { atLeast: 1, within: "3d" } }, { bufferSize: 1 }] },
    { when: [{ recentDriftChecks: "30m" }, { driftAlerts: { within: "30m" } }, { bufferSize: 1 }] },
    { guards: { cooldown: "7d" } },
    { guards: { retryBackoff: "off" } },
  ])("is recorded as it is if it is another one: %j", (value) => {
    const policy = parse(value);
    expect(toRecordedPolicy(policy)).toBe(policy);
    expect(Policy.parse(JSON.parse(JSON.stringify(policy)))).toEqual(policy);
  });
});
