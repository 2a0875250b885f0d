import { describe, expect, it } from "vitest";
import { wrapLine } from "../../src/core/report/wrap.ts";

describe("a line of a report", () => {
  it("stays as it is if it fits 80 columns, with its columns apart", () => {
    for (const line of ["", "    Trainings        3         4", "x".repeat(80)])
      expect(wrapLine(line)).toEqual([line]);
  });

  it("is broken between words, and continues two columns further right", () => {
    expect(wrapLine(`  2026  ${"word ".repeat(16)}end`)).toEqual([
      `  2026  ${"word ".repeat(14)}`.trimEnd(),
      "    word word end",
    ]);
  });

  it("keeps a word whole that is longer than a line", () => {
    const word = "x".repeat(90);
    expect(wrapLine(`- ${word} and`)).toEqual(["-", `  ${word}`, "  and"]);
    expect(wrapLine(word)).toEqual([word]);
  });
});
