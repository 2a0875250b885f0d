import { format, resolveConfig } from "prettier";
import { needsPerson, type Standing, STANDINGS } from "../../src/core/standing.ts";

const START = "<!-- Generated from the standings by: npm run docs -->";
const END = "<!-- End of the generated part -->";

/** docs/pages.md with its table of states as the program has them. `npm run docs` writes it, and a test compares it. */
export async function renderStandingsPage(path: string, text: string): Promise<string> {
  const [before = "", rest = ""] = text.split(START);
  const [, after = ""] = rest.split(END);
  const rows = (Object.keys(STANDINGS) as Standing[]).map(
    (standing) =>
      `| ${STANDINGS[standing].label} | ${needsPerson(standing) ? "yes" : "no"} | ${STANDINGS[standing].meaning} |`,
  );
  const table = ["| state | needs a person | means |", "| --- | --- | --- |", ...rows].join("\n");
  return format(`${before}${START}\n\n${table}\n\n${END}${after}`, {
    ...(await resolveConfig(path)),
    parser: "markdown",
  });
}
