import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backtest } from "../../../src/core/backtest/backtest.ts";
import { addCheckOf, addRowsOf, createPolicyWorld, type PolicyWorld } from "../../support/policies.ts";

let world: PolicyWorld;
let directory: string;

beforeAll(async () => {
  const policy = { when: [{ driftAlerts: 1 }, { bufferSize: 100 }] };
  world = await createPolicyWorld({ films: { policy }, songs: { policy }, books: { policy } });
  directory = await mkdtemp(join(tmpdir(), "retrigger-backtest-"));
  await world.run("migrate");
  for (let days = 40; days > 0; days -= 1)
    await addCheckOf(world, "films", { age: `${days} days`, fired: days === 30 || days === 10, score: 0.1 });
  await addRowsOf(world, "films", 60, "39 days");
  await addRowsOf(world, "films", 60, "20 days");
});
afterAll(async () => {
  await world.close();
  await rm(directory, { recursive: true });
});

async function writePolicy(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

describe("retrigger backtest", () => {
  it("replays a model's own tables where no decision is on record, and compares a candidate", async () => {
    const policy = await writePolicy(
      "lower.yaml",
      "policy:\n  when:\n    - driftAlerts: 1\n    - bufferSize: 50\n",
    );
    const { stdout, failure } = await world.run(
      "backtest",
      "-m",
      "films",
      "--since",
      "45d",
      "--policy",
      policy,
      "--json",
    );
    expect(failure).toBeNull();
    const result = JSON.parse(stdout) as Backtest & { cadence: unknown };
    expect(result.cadence).toEqual({ everyMs: 86_400_000 });
    expect(result.inForce.firings).toHaveLength(1);
    expect(result.candidate?.firings).toHaveLength(2);
    expect(result.gained).toMatchObject([{ checks: ["bufferSize"] }]);
    expect(result.reproduction).toBeNull();
  });

  it("prints text that fits 80 columns, or writes a page that needs nothing else", async () => {
    const { stdout } = await world.run("backtest", "-m", "films", "--since", "45d", "--every", "12h");
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toContain("Trainings of the policy in force");
    const page = join(directory, "out.html");
    expect(await world.run("backtest", "-m", "films", "--html", page)).toMatchObject({ failure: null });
    const html = await readFile(page, "utf8");
    expect(html).toContain("<svg");
    expect(html).not.toMatch(/(?:src|href)="(?!\/decisions)/);
  });

  it("names every fault of a candidate with its line", async () => {
    const policy = await writePolicy(
      "bad.yaml",
      "when:\n  - driftAlrts: 1\nguards:\n  cooldown: 3 years\n  coldown: 3d\n",
    );
    const { failure } = await world.run("backtest", "-m", "films", "--policy", policy);
    for (const fault of ["did you mean driftAlerts? (line 2)", "got 3 years (line 4)", "(line 5)"])
      expect(failure?.replaceAll('"', "")).toContain(fault);
  });

  it.each([
    ["a file that is not there", ["--policy", "/nowhere.yaml"], "cannot be read"],
    ["two ways to choose the looks", ["--at-events", "--every", "1d"], "exclude each other"],
    ["an interval that is too short", ["--every", "1s"], "at least 1m"],
  ])("refuses %s", async (_, args, message) => {
    expect((await world.run("backtest", "-m", "films", ...args)).failure).toContain(message);
  });

  it("says that a period has no data, and where a renamed model's decisions may be", async () => {
    await world.sql(
      "INSERT INTO retraining_decisions (model, decision, reason) VALUES ('pictures', 'no_action', 'no_drift_alerts')",
    );
    const { failure } = await world.run("backtest", "-m", "songs");
    expect(failure).toContain("songs has neither checks nor decisions in the last 90d");
    expect(failure).toContain("pictures");
  });
});

describe("retrigger tune", () => {
  it("finds the thresholds that matter, with a chart, and changes nothing", async () => {
    const svg = join(directory, "front.svg");
    const before = await world.run("config", "print");
    const { stdout } = await world.run("tune", "-m", "films", "--since", "45d", "--svg", svg);
    expect(stdout).toContain("bufferSize.atLeast");
    expect(stdout).toContain("in force");
    expect(await readFile(svg, "utf8")).toMatch(/^<svg[^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect((await world.run("config", "print")).stdout).toBe(before.stdout);
    expect(await world.sql("SELECT FROM retraining_decisions WHERE run_id IS NOT NULL")).toEqual([]);
  });
});
