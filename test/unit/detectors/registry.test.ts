import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReportedCheck } from "../../../queues/reports.ts";
import { PermanentError } from "../../../src/core/errors.ts";
import type { Detector, DetectorReport } from "../../../src/detectors/detector.ts";
import { LIMITS } from "../../../src/detectors/findings.ts";
import { DETECTORS } from "../../../src/detectors/registry.ts";
import { detectorOf, FIXTURES, type Json, parseFixture, readFixture } from "../../support/detectors.ts";

describe("the registry of detectors", () => {
  it("names each one as in a URL, once, and the documentation describes it", () => {
    const names = DETECTORS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const page = readFileSync("docs/detectors.md", "utf8");
    for (const { name, title, versions } of DETECTORS) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(page).toContain(`## ${title}`);
      expect(page).toContain(`npx retrigger emit --${name} `);
      expect(page).toContain(versions);
    }
  });

  it("has a fixture of each that contains both verdicts or, if it lists violations only, drift", () => {
    for (const { name } of DETECTORS) {
      const fixtures = readdirSync(FIXTURES).filter((file) => file.startsWith(name));
      const verdicts = fixtures.flatMap((file) =>
        parseFixture(file.replace(".json", "")).checks.map(({ triggered }) => triggered),
      );
      expect(verdicts).toContain(true);
      if (name !== "sagemaker") expect(verdicts).toContain(false);
    }
  });
});

describe("every detector", () => {
  const RUNS = { numRuns: 300 };

  /** Either a report that can be saved, or an error that names what is wrong. */
  function expectSound({ parse }: Detector, document: unknown): void {
    let report: DetectorReport;
    try {
      report = parse(document);
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      expect(error.code).toBe("BAD_INPUT");
      expect(error.message.length).toBeLessThan(20_000);
      return;
    }
    expect(report.checks.length).toBeLessThanOrEqual(LIMITS.checks);
    expect(new Set(report.checks.map(({ feature }) => feature)).size).toBe(report.checks.length);
    for (const check of report.checks) {
      expect(ReportedCheck.safeParse(check)).toMatchObject({ success: true });
      const { score, threshold, triggered } = check;
      if (score !== null && threshold !== null && threshold > 0)
        expect(score / threshold >= 1).toBe(triggered);
    }
  }

  it.each(DETECTORS.map((detector) => [detector.title, detector] as const))(
    "%s survives any JSON",
    (_, detector) => {
      fc.assert(
        fc.property(fc.jsonValue(), (document) => expectSound(detector, document)),
        RUNS,
      );
    },
  );

  it.each(readdirSync(FIXTURES).map((file) => file.replace(".json", "")))(
    "survives a change anywhere in %s",
    (name) => {
      const detector = detectorOf(name);
      const fixture = readFixture(name);
      const places = listPlaces(fixture);
      const replacement = fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.constantFrom<Json[]>(0, 1, 0.05, -1, 1e300, "NaN", "inf", "", "__proto__", true, null, []),
        fc.double().map((value) => value as Json),
      );
      fc.assert(
        fc.property(fc.constantFrom(...places), replacement, (place, value) =>
          expectSound(detector, replaceAt(fixture, place, value)),
        ),
        RUNS,
      );
    },
  );
});

type Place = readonly (string | number)[];

function listPlaces(value: Json, place: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [place];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [place, ...entries.flatMap(([key, part]) => listPlaces(part as Json, [...place, key]))];
}

function replaceAt(value: Json, [key, ...rest]: Place, replacement: Json): Json {
  if (key === undefined) return replacement;
  const inner = (value as Record<string | number, Json>)[key] as Json;
  const changed = replaceAt(inner, rest, replacement);
  return Array.isArray(value)
    ? value.map((part: Json, index) => (index === key ? changed : part))
    : { ...(value as object), [key]: changed };
}
