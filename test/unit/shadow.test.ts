import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { Gathered } from "../../queues/jobs.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { toConfigFile } from "../../src/config/effective-config.ts";
import { compareModels } from "../../src/config/model-changes.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import { GUIDE_POLICY } from "../../src/core/policy.ts";
import { renderShadowReport } from "../../src/core/report/shadow.ts";
import { type Disagreement, type ShadowUse, summarizeShadow } from "../../src/core/shadow-report.ts";
import { judgeShadow } from "../../src/core/shadow.ts";
import { evaluateStage } from "../../workers/evaluate.ts";
import { judgeGatheredShadow } from "../../workers/judge-shadow.ts";
import { cases, runsOf } from "./policy/arbitraries.ts";

const directory = mkdtempSync(join(tmpdir(), "retrigger-shadow-"));
const path = join(directory, "retrigger.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

const SERVERS = { DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost:6379" };

function parse(text: string): Config {
  writeFileSync(path, text);
  return parseConfig({ ...SERVERS, RETRIGGER_CONFIG: path });
}

function faultsOf(text: string): readonly string[] {
  try {
    parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map((fault) => fault.replace(`${path}: `, ""));
  }
}

describe("the setting shadow", () => {
  const TEXT = `
defaults:
  policy: { guards: { cooldown: 7d } }
  shadow: { guards: { cooldown: 14d } }
models:
  books: { policy: { when: { maxAge: 30d } } }
  films: { shadow: { when: { driftAlerts: 3 }, guards: { cooldown: off } } }
  fraud: { shadow: off }
  games: { shadow: }`;

  it("takes what it leaves out from the model's own policy, wherever it stands", () => {
    const { models } = parse(TEXT);
    expect(models.get("books")?.shadow).toMatchObject({
      when: { maxAge: { atLeast: "30d" } },
      guards: { cooldown: { for: "14d" }, alreadyActedOn: {} },
    });
    const films = models.get("films")?.shadow;
    expect(films?.when).toMatchObject({ driftAlerts: { atLeast: 3 } });
    expect(films?.guards).not.toHaveProperty("cooldown");
    expect([models.get("fraud")?.shadow, models.get("games")?.shadow]).toEqual([null, null]);
  });

  it("is printed so that it gives the same settings again", () => {
    const { models } = parse(TEXT);
    const again = parse(stringify(toConfigFile(models), { aliasDuplicateObjects: false })).models;
    for (const [name, { shadow }] of models) expect(again.get(name)?.shadow).toEqual(shadow);
  });

  it("is refused with all its faults, and their lines", () => {
    expect(
      faultsOf(`models:
  films:
    shadow:
      when: { driftAlert: 1 }
      guards: { cooldown: soon }
  books:
    shadow: on
  fraud:
    shadow: {}
  games:
    source: { checks: { columns: { samples: null } } }
    shadow:
      when: [ { driftAlerts: 1 }, { sampleFloor: 100 } ]`),
    ).toEqual([
      'models.films.shadow.when.driftAlert: "driftAlert" is not a criterion: did you mean driftAlerts? (line 4)',
      'models.films.shadow.guards.cooldown: expected a duration such as 7d, 24h, 10m or 30s, got "soon" (line 5)',
      'models.books.shadow: expected when or guards that differ from the policy, or off, got "on" (line 7)',
      "models.fraud.shadow: expected when or guards that differ from the policy, or off, got an empty mapping (line 9)",
      "models.games.shadow: sampleFloor needs the samples of a check, but source.checks.columns has samples: null (line 12)",
    ]);
  });

  it("is a change to a reload, but no reason to evaluate the model again", () => {
    const before = parse("models: { films: { shadow: { guards: { cooldown: 3d } } } }").models;
    const after = parse("models: { films: { shadow: { guards: { cooldown: 4d } } } }").models;
    expect(compareModels(before, after)).toMatchObject({ changed: ["films"], rejudged: [] });
  });
});

describe("the verdict of a shadow policy", () => {
  it("is that of the same policy in force", () => {
    fc.assert(
      fc.property(cases, ({ evidence, policy }) => {
        const { decision, reason, failed, explanation } = evaluate(evidence, policy);
        const why = explanation?.why;
        expect(judgeShadow(evidence, policy, "hash")).toMatchObject({ decision, reason, failed, why });
      }),
      { numRuns: runsOf(100) },
    );
  });

  it("is absent, with the reason, if what it sees cannot be read; the decision is made", () => {
    const [{ evidence } = { evidence: null }] = fc.sample(cases, { numRuns: 1, seed: 1 });
    const gathered = { evidence, policy: GUIDE_POLICY, shadow: { policy: GUIDE_POLICY, seen: {} } };
    const torn = { ...gathered, shadow: { policy: GUIDE_POLICY, seen: { checks: "torn" } } };
    const parsed = Gathered.parse(JSON.parse(JSON.stringify(torn)));
    expect(judgeGatheredShadow(parsed)).toMatchObject({ shadow: null, problem: expect.any(String) });
    const { result, log } = evaluateStage(parsed);
    expect(result.verdict).toEqual(evaluate(parsed.evidence, parsed.policy));
    expect(log).toContain("The shadow policy was not evaluated, which does not affect the decision");
    const unknown = { ...gathered, shadow: { policy: { when: { sunspots: 3 } }, seen: {} } };
    expect(Gathered.parse(unknown).shadow).toBeNull();
    expect(Gathered.parse({ evidence, policy: GUIDE_POLICY }).shadow).toBeNull();
  });
});

const use = (changes: Partial<ShadowUse>): ShadowUse => ({
  policyHash: "abc",
  policy: {},
  from: "2026-11-01T06:00:00Z",
  to: "2026-11-20T06:00:00Z",
  decisions: 2000,
  agreed: 1999,
  ...changes,
});
const DIFFERENCE: Disagreement = {
  count: 1,
  firstId: 7,
  lastId: 7,
  from: "2026-11-10T06:00:00Z",
  to: "2026-11-10T06:00:00Z",
  decided: { decision: "no_action", reason: "cooldown", why: null },
  shadow: {
    decision: "trigger",
    reason: "drift_detected",
    why: `drift in ${"a".repeat(40)} ${"b ".repeat(40)}`,
  },
  policyHash: "abc",
};
const ABOUT = { model: "films", shadow: "driftAlerts 2", since: "90d", unjudged: 3 };

describe("the report about shadow policies", () => {
  it("rounds agreement down, says what it lacks, and fits a terminal", () => {
    const report = summarizeShadow(ABOUT, [use({})], [DIFFERENCE]);
    expect(report).toMatchObject({ agreement: 99.9, decisions: 2000, unlisted: 0 });
    const lines = renderShadowReport(report);
    expect(lines[0]).toBe("films: 99.9 % agreement: 1 of 2,000 decisions differs");
    const text = lines.join("\n").replaceAll(/\n +/g, " ");
    expect(text).toContain("there is no more within the last 90d");
    expect(text).toContain("3 decisions since then without a shadow's verdict");
    expect(text).toContain(
      "#7 of 2026-11-10 06:00 UTC decided no_action: cooldown shadow  trigger: drift in a",
    );
    expect(text).toContain("npx retrigger backtest --model films");
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
  });

  it("adds up several shadow policies, and counts what it does not list", () => {
    const uses = [use({ decisions: 10, agreed: 4 }), use({ policyHash: "def", decisions: 10, agreed: 10 })];
    const report = summarizeShadow(ABOUT, uses, [{ ...DIFFERENCE, count: 4 }]);
    expect(report).toMatchObject({ agreement: 70, decisions: 20, agreed: 14, unlisted: 2 });
    expect(renderShadowReport(report).join("\n")).toContain("def: agreed on 10 of 10 decisions");
  });

  it("says so if there is nothing to compare, and what to do", () => {
    const nothing = renderShadowReport(summarizeShadow({ ...ABOUT, shadow: null }, [], []));
    expect(nothing.join("\n")).toContain("no shadow policy: write one under models.films.shadow");
    const soon = renderShadowReport(summarizeShadow(ABOUT, [], []));
    expect(soon.at(-1)).toBe("Request a decision: npx retrigger decide --model films");
  });
});
