import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { Policy } from "../../src/core/policy.ts";
import { hashCanonical, hashPolicy } from "../../src/postgres/canonical-hash.ts";
import { guidePolicy } from "../support/evidence.ts";

/** Parsed from text, so that a test can tell `1.0` from `1` and choose the order of the keys. */
const hashJson = (text: string) => hashCanonical(JSON.parse(text));

const POLICY = Policy.parse({
  minBufferSize: 50_000,
  lookbackHours: 168,
  minAlertsTriggered: 1,
  retriggerGuard: true,
});

describe("the hash of a policy", () => {
  it("is twelve hex digits", () => {
    expect(hashPolicy(POLICY)).toMatch(/^[0-9a-f]{12}$/);
  });

  it("does not depend on the order of the fields", () => {
    const reversed = Object.fromEntries(Object.entries(POLICY).toReversed()) as Policy;
    expect(Object.keys(reversed)).not.toEqual(Object.keys(POLICY));
    expect(hashPolicy(reversed)).toBe(hashPolicy(POLICY));
  });

  it("changes with a field", () => {
    expect(hashPolicy(guidePolicy({ minBufferSize: 50_001 }))).not.toBe(hashPolicy(POLICY));
  });
});

describe("the canonical hash", () => {
  it("hashes the JSON form of RFC 8785", () => {
    const digits = createHash("sha256").update('{"a":[2,1],"b":{"x":0.5,"y":null}}').digest("hex");
    expect(hashJson('{"b": {"y": null, "x": 0.50}, "a": [2, 1]}')).toBe(digits.slice(0, 12));
  });

  it.each([
    [
      "the keys of a nested object",
      '{"a": {"x": 1, "y": {"p": 1, "q": 2}}}',
      '{"a": {"y": {"q": 2, "p": 1}, "x": 1}}',
    ],
    ["the keys of an object in an array", '{"a": [{"x": 1, "y": 2}]}', '{"a": [{"y": 2, "x": 1}]}'],
    ["keys outside of ASCII", '{"ä": 1, "z": 2, "😀": 3, "ﬁ": 4}', '{"ﬁ": 4, "😀": 3, "z": 2, "ä": 1}'],
    ["an escaped key", '{"\\u00e4": 1}', '{"ä": 1}'],
    ["a whole number with a fraction of zero", '{"a": 1.0}', '{"a": 1}'],
    ["a number with an exponent", '{"a": 1e3}', '{"a": 1000}'],
    ["a negative zero", '{"a": -0}', '{"a": 0}'],
  ])("is the same for another spelling of %s", (_, one, other) => {
    expect(hashJson(one)).toBe(hashJson(other));
  });

  it.each([
    ["the order of an array", "[1, 2]", "[2, 1]"],
    ["a number and its text", '{"a": 1}', '{"a": "1"}'],
    ["null and a missing key", '{"a": null}', "{}"],
    ["the level of a key", '{"a": {"b": 1}, "c": 2}', '{"a": {"b": 1, "c": 2}}'],
    ["composed and decomposed characters", '{"\\u00e4": 1}', '{"a\\u0308": 1}'],
  ])("tells apart %s", (_, one, other) => {
    expect(hashJson(one)).not.toBe(hashJson(other));
  });

  it("is that of another implementation of RFC 8785", () => {
    const texts = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "grapheme", maxDepth: 4 }), texts, (value, text) => {
        const wrapped = { value, [text]: text, "10": 1, "9": -0, "\u20ac": 1e21, "\u{1f600}": 1e-7 };
        expect(canonicalJson(wrapped)).toBe(canonicalize(wrapped));
      }),
      { numRuns: 300 },
    );
  });

  it("takes an undefined field as a missing one", () => {
    expect(hashCanonical({ a: 1, b: undefined })).toBe(hashCanonical({ a: 1 }));
  });

  it("rejects what has no JSON form", () => {
    expect(() => hashCanonical(undefined)).toThrow("no JSON form");
    expect(() => hashCanonical({ a: Number.NaN })).toThrow("NaN");
    expect(() => hashCanonical({ a: "\ud800" })).toThrow("surrogate");
  });
});
