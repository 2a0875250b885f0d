import { format, resolveConfig } from "prettier";
import { OPERATIONS } from "../../src/http/api/operations.ts";

const START = "<!-- Generated from the operations by: npm run docs -->";
const END = "<!-- End of the generated part -->";

/** docs/api.md with its table as the operations describe it. `npm run docs` writes it, and a test compares it. */
export async function renderApiPage(path: string, text: string): Promise<string> {
  const [before = "", rest = ""] = text.split(START);
  const [, after = ""] = rest.split(END);
  const rows = OPERATIONS.map(
    ({ method, path: own, role, summary }) => `| \`${method} /api/v1${own}\` | \`${role}\` | ${summary} |`,
  );
  const table = ["| operation | role | does |", "| --- | --- | --- |", ...rows].join("\n");
  return format(`${before}${START}\n\n${table}\n\n${END}${after}`, {
    ...(await resolveConfig(path)),
    parser: "markdown",
  });
}
