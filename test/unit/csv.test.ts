import { describe, expect, it } from "vitest";
import { toCsv } from "../../src/core/csv.ts";

/** The field that a value becomes. */
const fieldOf = (value: unknown): string => toCsv(["value"], [{ value }]).slice("value\r\n".length, -2);

describe("a field of a CSV file", () => {
  it.each([
    ["plain", "plain"],
    [null, ""],
    [-1.5, "-1.5"],
    [["a", 1], '"[""a"",1]"'],
    ['a,"b"', '"a,""b"""'],
    ["a-b=c@d+e", "a-b=c@d+e"],
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\uff1d1", "'\uff1d1"],
    ["  =1", "'  =1"],
    ["\u00a0=1", "'\u00a0=1"],
    ["a;=1", `"a;'=1"`],
    ["a; =1;-2", `"a;' =1;'-2"`],
    ["a\t=1", `"a\t'=1"`],
    ["a\r\n=1", `"a\r\n'=1"`],
    ["a\n  =1", `"a\n'  =1"`],
    ["\t=1", `"\t'=1"`],
    // What follows the last break may be a cell of its own.
    ["a\n \n=1", `"a\n \n'=1"`],
  ])("of %j is %j, which no spreadsheet runs", (value, field) => {
    expect(fieldOf(value)).toBe(field);
  });

  it.each(["\n", "\t", " ", ";", "\r\n ", "; \t"])("takes time in proportion to a long run of %j", (part) => {
    const shortMs = timeOf(part.repeat(5_000));
    // Eight times as long takes 64 times as long if each place is searched to the end.
    expect(timeOf(part.repeat(40_000)) / shortMs).toBeLessThan(30);
  });
});

/** The shortest of several attempts: others may use the machine. */
function timeOf(text: string): number {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    fieldOf(text);
    return performance.now() - start;
  });
  return Math.min(...times);
}
