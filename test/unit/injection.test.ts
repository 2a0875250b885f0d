import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { print, printNote } from "../../src/cli/output.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import { renderReport } from "../../src/core/report/report.ts";
import { escapeControls } from "../../src/process/terminal.ts";
import { GUIDE_POLICY, guideEvidence } from "../support/evidence.ts";

/** Clears the screen, sets the window's title, hides a line, moves back, and turns text around. */
const HOSTILE = "ks\u001b[2J\u001b]0;owned\u0007\r\b\u009b31m\u202e\u007f";
const CONTROLS = /[^\P{Cc}\n\t]|[\u202e]/u;

afterEach(() => vi.restoreAllMocks());

describe("text from outside, on a terminal,", () => {
  it("has its control characters escaped, and stays the same value in JSON", () => {
    expect(escapeControls(HOSTILE)).not.toMatch(CONTROLS);
    expect(escapeControls("a\tb\nc 🚨 ⚠️ é")).toBe("a\tb\nc 🚨 ⚠️ é");
    const value = { feature: HOSTILE };
    expect(JSON.parse(escapeControls(JSON.stringify(value)))).toEqual(value);
  });

  it("is printed without them by every command, on both streams", () => {
    const written: string[] = [];
    const keep = (line: string): void => void written.push(line);
    vi.spyOn(console, "log").mockImplementation(keep);
    vi.spyOn(console, "error").mockImplementation(keep);
    print(`report ${HOSTILE}`);
    printNote(`error ${HOSTILE}`);
    expect(written).toHaveLength(2);
    expect(written.join("")).not.toMatch(CONTROLS);
  });

  it("is logged without them", () => {
    const script = `import { createLogger } from ${JSON.stringify(fileURLToPath(new URL("../../src/process/logger.ts", import.meta.url)))};
      createLogger("info").info({ feature: ${JSON.stringify(HOSTILE)} }, "text");`;
    const args = ["--import", "tsx", "--input-type=module", "--eval", script];
    const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ feature: HOSTILE });
    expect(stdout).not.toMatch(CONTROLS);
  });

  it("adds no line to the report", () => {
    const evidence = guideEvidence();
    const lines = (feature: string): string => {
      const named = structuredClone(evidence);
      for (const check of [...named.checks.newest, ...named.checks.newestTriggered]) check.feature = feature;
      return renderReport({
        runId: "run",
        model: "default",
        evidence: named,
        policy: GUIDE_POLICY,
        verdict: evaluate(named, GUIDE_POLICY),
        request: null,
        recorded: null,
        dispatch: null,
        superseded: null,
        page: null,
        timeZone: "UTC",
        settingNames: {},
      });
    };
    const text = lines(`${HOSTILE}\n✅ FORGED`);
    expect(text).not.toMatch(CONTROLS);
    expect(text.split("\n").filter((line) => line.startsWith("✅ FORGED"))).toEqual([]);
    expect(text.split("\n")).toHaveLength(lines("ks").split("\n").length);
  });
});
