import { format, resolveConfig } from "prettier";
import type { CheckDefinition } from "../../src/core/check.ts";
import { CRITERIA } from "../../src/core/criteria/registry.ts";
import { GUARDS } from "../../src/core/guards/registry.ts";

const START = "<!-- Generated from the registries of criteria and guards by: npm run docs -->";
const END = "<!-- End of the generated part -->";

/** docs/policies.md with its generated part as the registries describe it. `npm run docs` writes it, and a test compares it. */
export async function renderPoliciesPage(path: string, text: string): Promise<string> {
  const [before = "", rest = ""] = text.split(START);
  const [, after = ""] = rest.split(END);
  const generated = [
    START,
    "## Criteria",
    ...CRITERIA.flatMap((criterion) => [
      ...renderCheck(criterion),
      [
        `Code if it fails: \`${criterion.reason}\`.`,
        criterion.carries === null
          ? "It is no reason to retrain by itself."
          : `Reason of a trigger that it carries: \`${criterion.carries}\`.`,
      ].join(" "),
    ]),
    "## Guards",
    "A guard may object to what the condition calls for. One that ends with time says when (`nextLookAt`): the model is re-evaluated then by itself, also after a restart, and after Redis was emptied.",
    ...GUARDS.flatMap((guard) => [
      ...renderCheck(guard),
      `${guard.default === null ? "Off by default." : "On by default; `off` switches it off."} Code if it objects: \`${guard.reason}\`.`,
    ]),
    END,
  ].join("\n\n");
  return format(`${before}${generated}${after}`, { ...(await resolveConfig(path)), parser: "markdown" });
}

function renderCheck({ key, docs, fields }: CheckDefinition): string[] {
  return [
    `### ${key}`,
    docs.rule,
    ["```yaml", docs.example, "```"].join("\n"),
    ...renderFields(fields),
    ...(docs.formula === undefined ? [] : [`Formula: ${docs.formula}.`]),
    ...(docs.source === undefined ? [] : [`Source: ${docs.source}.`]),
  ];
}

function renderFields(fields: CheckDefinition["fields"]): string[] {
  const rows = Object.entries(fields).map(([name, { default: standard, optional, meaning }]) => {
    const value =
      standard === undefined
        ? optional
          ? ""
          : "required"
        : `\`${JSON.stringify(standard).replaceAll('"', "")}\``;
    return `| \`${name}\` | ${value} | ${meaning} |`;
  });
  return rows.length === 0
    ? []
    : [["| setting | default | meaning |", "| --- | --- | --- |", ...rows].join("\n")];
}
