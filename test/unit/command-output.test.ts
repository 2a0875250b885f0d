import { describe, expect, it } from "vitest";
import { createRedactor } from "../../src/process/redact.ts";
import { runCommand } from "../../src/trainers/command/run.ts";

const SECRET = "secret-of-the-program-0815";

/** What the log of a training has after a program has written these texts, each as soon as it can. */
async function logOf(...texts: string[]): Promise<string[]> {
  return logOfScript(JSON.stringify(texts));
}

/** @param texts A JavaScript expression: an argument of a program may not be as long as its output. */
async function logOfScript(texts: string): Promise<string[]> {
  const lines: string[] = [];
  const script = `const texts = ${texts};
    const next = () => { const text = texts.shift(); if (text !== undefined) process.stdout.write(text, () => setTimeout(next, 30)); };
    next();`;
  const { conclusion } = await runCommand(
    { kind: "command", command: [process.execPath, "-e", script], workingDirectory: "." },
    { environment: {}, limitMs: 20_000, redact: createRedactor(new Map([["API_KEY", SECRET]])) },
    { signal: new AbortController().signal, log: (text) => lines.push(text) },
  );
  expect(conclusion).toBe("success");
  return lines;
}

describe("the output of a program", () => {
  it.each([1_980, 1_990, 2_000, 4_000, 10_000])(
    "is redacted in one piece if a line has a secret after %i characters",
    async (length) => {
      const log = (await logOf(`${"x".repeat(length)}${SECRET} end\n`)).join("");
      expect(log).toBe(`${"x".repeat(length)}[API_KEY] end`);
    },
  );

  it("is redacted if a secret is written in two parts", async () => {
    expect(await logOf(`begin ${SECRET.slice(0, 9)}`, `${SECRET.slice(9)} end\n`)).toEqual([
      "begin [API_KEY] end",
    ]);
  });

  it("is shown while a progress bar moves, which writes no line end", async () => {
    expect((await logOf("10%\r", "20%\r", "30%\r")).length).toBeGreaterThan(1);
  });

  it("is cut if a line never ends, and goes on with the next line", async () => {
    for (const length of [64 * 1024 - 10, 64 * 1024 - 30]) {
      const log = await logOfScript(
        `["x".repeat(${length}) + "${SECRET}", "y".repeat(100_000), "z\\nnext ${SECRET}\\n"]`,
      );
      expect(log).toHaveLength(2);
      // How much of the line is shown depends on the pieces in which it arrives.
      const shown = log[0]?.replace(/^x+(\[API_KEY\]y*)?/, "");
      expect(shown).toBe("… (the rest of this line is left out)");
      expect(log[1]).toBe("next [API_KEY]");
    }
  });
});
