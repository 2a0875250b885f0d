import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { toArguments } from "../support/bundle.ts";

const CLI = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "retrigger-command-"));
const file = join(directory, "retrigger.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

const FILE = `
models:
  films: { policy: { when: { driftAlerts: 2 } } }
  fraud: { trainer: { github: { token: FRAUD_TOKEN, owner: us, repo: fraud } } }
`;

/** Runs a command in the directory, whose `.env` it reads, without any server. */
function retrigger(args: string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      [...toArguments(CLI), "config", ...args],
      { cwd: directory, env: { PATH: process.env["PATH"], TSX_DISABLE_CACHE: "1", ...env } },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

describe("retrigger config", () => {
  it("checks the file that .env names, and notes only what was set for this command", async () => {
    writeFileSync(file, FILE);
    writeFileSync(
      join(directory, ".env"),
      "RETRIGGER_CONFIG=retrigger.yaml\nFRAUD_TOKEN=token-of-fraud\nMIN_BUFFER_SIZE=1\nTRAINER=\n",
    );
    const { code, stdout, stderr } = await retrigger(["check"], {
      MIN_ALERTS_TRIGGERED: "1",
      DATABASE_URL: "",
    });
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^✅ films: .*trainer mock.*1 criterion/) as string,
      expect.stringMatching(/^✅ fraud: .*trainer github.*3 criteria/) as string,
    ]);
    expect(stderr).toBe(
      "MIN_ALERTS_TRIGGERED=1 has no effect on films: models.films.policy.when in retrigger.yaml decides\n",
    );
  });

  it("prints what is in force, secrets as the names of their variables", async () => {
    const [{ stdout }, json, unknown] = await Promise.all([
      retrigger(["print", "--model", "fraud"]),
      retrigger(["print", "--json"]),
      retrigger(["print", "-m", "nobody"]),
    ]);
    expect(parseYaml(stdout)).toMatchObject({
      models: {
        fraud: { trainer: { github: { token: "FRAUD_TOKEN" } }, policy: { when: { all: [{}, {}, {}] } } },
      },
    });
    expect(Object.keys((JSON.parse(json.stdout) as { models: object }).models)).toEqual(["films", "fraud"]);
    expect(stdout + json.stdout).not.toContain("token-of-fraud");
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
  });

  it("prints every fault and exits with 1", async () => {
    const models = Array.from({ length: 60 }, (_, index) => `  m${index}: { spread: x }`);
    writeFileSync(file, `models:\n${models.join("\n")}\n`);
    const { code, stdout } = await retrigger(["check"], { PROT: "3", PORT: "many" });
    expect(code).toBe(1);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toBe('❌ PORT is "many": must be a whole number from 0 to 65535');
    expect(lines[1]).toMatch(
      /^❌ retrigger\.yaml: models\.m0\.spread: expected a duration .*, got "x" \(line 2\)$/,
    );
    expect(lines).toHaveLength(62);
    const { faults } = JSON.parse((await retrigger(["check", "--json"])).stdout) as { faults: string[] };
    expect(faults).toHaveLength(60);
  });

  it("prints the schema whatever the settings are", async () => {
    const { code, stdout } = await retrigger(["schema"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ $schema: "https://json-schema.org/draft/2020-12/schema" });
  });
});
