import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ALL_SETTINGS } from "../../../src/config/settings.ts";

it("docs/operations.md says of every secret how to rotate it", () => {
  const page = readFileSync("docs/operations.md", "utf8");
  const [section = ""] = page.split("## Rotate a secret")[1]?.split("\n## ") ?? [];
  const rows = section.split("\n").flatMap((line) => /^\| (.*?) +\|/.exec(line)?.[1] ?? []);
  const secrets = ALL_SETTINGS.filter(({ secret }) => secret === "value" || secret === "login");
  expect(secrets.length).toBeGreaterThan(10);
  const absent = secrets.filter(({ variable }) => !rows.some((row) => row.includes(`\`${variable}\``)));
  expect(absent.map(({ variable }) => variable)).toEqual([]);
});
