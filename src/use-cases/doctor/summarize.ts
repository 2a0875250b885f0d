import type { Finding } from "../../core/finding.ts";
import { formatCount } from "../../core/format.ts";

/** With so few models, everything is shown. */
export const FEW_MODELS = 5;

/** A summary has at most about so many lines; a finding takes two with what to do. */
const MOST_LINES = 40;

/** So many different findings of a kind are listed one by one. */
const MOST_ALIKE = 3;
const MOST_NAMES = 3;

/**
 * What is wrong with many models, on a page: models that are fine are counted, and findings that models share are grouped.
 *
 * @param models The number of models.
 */
export function summarize(findings: readonly Finding[], models: number): Finding[] {
  const general = findings.filter(({ model }) => model === undefined);
  const own = findings.filter(({ model, level }) => model !== undefined && level !== "ok");
  const fine = models - new Set(own.map(({ model }) => model)).size;
  const counted: Finding = {
    level: "ok",
    text: fine === 1 ? "1 model is fine" : `${formatCount(fine)} models are fine`,
  };
  const lines = [...keepFirst(sortBySeverity(general), MOST_LINES / 2), ...(fine === 0 ? [] : [counted])];
  return [...lines, ...keepFirst(sortBySeverity(groupAlike(own)), MOST_LINES - 1 - countLines(lines))];
}

function countLines(findings: readonly Finding[]): number {
  return findings.reduce((sum, { remedy }) => sum + (remedy === undefined ? 1 : 2), 0);
}

const SEVERITY = { fault: 0, warning: 1, ok: 2 } as const;

function sortBySeverity(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => SEVERITY[a.level] - SEVERITY[b.level]);
}

/** As many as fit into so many lines, and how many are left out. */
function keepFirst(findings: readonly Finding[], lines: number): Finding[] {
  const kept: Finding[] = [];
  for (const finding of findings) {
    if (countLines([...kept, finding]) > lines - 1) break;
    kept.push(finding);
  }
  const rest = findings.slice(kept.length);
  const [first] = rest;
  if (!first) return kept;
  const text = `and ${formatCount(rest.length)} more: npx retrigger doctor --verbose shows all`;
  return [...kept, { level: first.level, text }];
}

interface Group {
  finding: Finding;
  /** The kind of the finding: what the texts of a kind have in common. */
  kind: string;
  models: Set<string>;
}

/** One finding for all models with the same text; and one for those of a kind, if there are many different ones. */
function groupAlike(findings: readonly Finding[]): Finding[] {
  const groups = new Map<string, Group>();
  for (const finding of findings) {
    const { level, text, model = "", group, place } = finding;
    const kind = JSON.stringify([level, group ?? kindOf(text), place]);
    const key = JSON.stringify([level, text, place]);
    const known = groups.get(key);
    if (known) known.models.add(model);
    else groups.set(key, { finding, kind, models: new Set([model]) });
  }
  const kinds = new Map<string, Group[]>();
  for (const group of groups.values()) {
    const alike = kinds.get(group.kind);
    if (alike) alike.push(group);
    else kinds.set(group.kind, [group]);
  }
  return [...kinds.values()].flatMap((alike) =>
    alike.length > MOST_ALIKE ? [describeKind(alike)] : alike.map(describeGroup),
  );
}

/** The text without what differs between models: names with a dot or an underscore, and figures. */
function kindOf(text: string): string {
  return text.replaceAll(/\S*[\d._]\S*/g, "*");
}

function describeGroup({ finding, models }: Group): Finding {
  const { level, text, remedy, place, group } = finding;
  if (models.size === 1) return finding;
  return withRemedy(level, `${group ?? text}: ${listModels(models)}${placeOf(place)}`, remedy);
}

function describeKind(alike: readonly Group[]): Finding {
  const [first] = alike;
  if (!first) throw new Error("a kind has at least one group");
  const models = new Set(alike.flatMap((group) => [...group.models]));
  const { level, text, group, remedy, place } = first.finding;
  const others = group === undefined ? `, and ${formatCount(alike.length - 1)} more like it` : "";
  return withRemedy(level, `${group ?? text}${others}: ${listModels(models)}${placeOf(place)}`, remedy);
}

function withRemedy(level: Finding["level"], text: string, remedy: string | undefined): Finding {
  return { level, text, ...(remedy === undefined ? {} : { remedy }) };
}

function placeOf(place: string | undefined): string {
  return place === undefined ? "" : ` (${place})`;
}

function listModels(models: ReadonlySet<string>): string {
  const names = [...models].slice(0, MOST_NAMES).join(", ");
  const count = `${formatCount(models.size)} models`;
  return models.size > MOST_NAMES ? `${count}, such as ${names}` : `${count}: ${names}`;
}
