import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
} from "yaml";
import type { Fault } from "../core/fields.ts";
import { listSyntaxFaults, type LineFault } from "./yaml-syntax.ts";

type Path = Fault["path"];

/** A parsed YAML file that knows where everything stands. */
export interface YamlDocument {
  /** The value; undefined if `faults` has any. */
  value: unknown;
  /** What is wrong with the YAML itself, by line. */
  faults: LineFault[];
  /** Keys that are written twice. The value has the last one of each. */
  duplicates: LineFault[];
  /** The line of a path, or of the deepest part of it that exists. */
  lineOf(path: Path): number;
  /** The value of a path as it is written. */
  textOf(path: Path): string | undefined;
}

export function parseYaml(text: string): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    merge: true,
    prettyErrors: false,
    // Both lines of a duplicate key are named below.
    uniqueKeys: false,
    logLevel: "error",
  });
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const faults = listSyntaxFaults(document, lineAt);
  const duplicates: LineFault[] = [];
  const targets: Targets = new Map();
  const checking = { anchors: new Map<string, Node>(), targets, lineAt, faults, duplicates };
  if (faults.length === 0) checkNode(document.contents, checking, []);
  const locate = (path: Path) => findNode(document, targets, path);
  return {
    value: faults.length === 0 ? toValue(document, faults) : undefined,
    faults,
    duplicates,
    lineOf: (path) => lineAt(locate(path).nearest?.range?.[0] ?? 0),
    textOf(path) {
      const { node } = locate(path);
      if (!isScalar(node)) return undefined;
      return typeof node.value === "string" ? JSON.stringify(node.value) : (node.source ?? "");
    },
  };
}

/** More uses of anchors within each other would only serve to fill the memory. */
const MAX_ALIASES = 20_000;

function toValue(document: Document, faults: LineFault[]): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    faults.push({ line: 1, message: "anchors (&name) are used within each other too often: write it out" });
    return undefined;
  }
}

/** The node that each alias stands for. To ask the document for each would search all of it each time. */
type Targets = Map<Alias, Node>;

interface Checking {
  /** The anchors above the node. */
  anchors: Map<string, Node>;
  targets: Targets;
  lineAt(offset: number): number;
  faults: LineFault[];
  duplicates: LineFault[];
}

/** Finds keys that are written twice or are no names, and aliases without an anchor or within it. */
function checkNode(node: unknown, checking: Checking, path: Path): void {
  const { anchors, targets, lineAt, faults } = checking;
  if ((isScalar(node) || isSeq(node) || isMap(node)) && node.anchor !== undefined)
    anchors.set(node.anchor, node);
  if (isAlias(node)) {
    const [start = 0] = node.range ?? [];
    const target = anchors.get(node.source);
    if (target) targets.set(node, target);
    const [from = 0, , to = 0] = target?.range ?? [];
    if (target === undefined)
      faults.push({
        line: lineAt(start),
        message: "this alias (*name) has no anchor (&name) above it",
      });
    else if (from < start && start < to)
      faults.push({
        line: lineAt(start),
        message: "this alias (*name) stands within its own anchor (&name)",
      });
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) checkNode(item, checking, [...path, index]);
  } else if (isMap(node)) {
    checkKeys(node, checking, path);
    for (const { key, value } of node.items) {
      checkNode(value, checking, [...path, nameOf(key) ?? ""]);
      if (nameOf(key) === "<<") checkMerge(value, checking);
    }
  }
}

function checkMerge(value: unknown, { targets, lineAt, faults }: Checking): void {
  const sources = isSeq(value) ? value.items : [value];
  if (sources.every((source) => isMap(resolve(source, targets)))) return;
  const [start = 0] = (value as Node | null)?.range ?? [];
  faults.push({ line: lineAt(start), message: "<<: expected an alias (*name) of a mapping" });
}

function checkKeys(map: YAMLMap, { lineAt, faults, duplicates }: Checking, path: Path): void {
  const seen = new Map<string, number>();
  for (const { key } of map.items) {
    const name = nameOf(key);
    const line = lineAt((key as Node | null)?.range?.[0] ?? map.range?.[0] ?? 0);
    if (name === undefined) {
      faults.push({ line, message: `${formatPath(path)}: expected a name before the colon` });
      continue;
    }
    const first = seen.get(name);
    if (first === undefined) seen.set(name, line);
    else if (name !== "<<") duplicates.push({ line, message: describeDuplicate(path, name, first) });
  }
}

function describeDuplicate(path: Path, name: string, first: number): string {
  const where = formatPath([...path, name]);
  return path.length === 1 && path[0] === "models"
    ? `${where}: there is a model of this name already, on line ${first}: rename one of them`
    : `${where}: it stands on line ${first} already: remove one of them`;
}

/** A key as text; undefined if it is a list or a mapping. */
function nameOf(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  return typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
}

/** The node of a path, if it exists, and the nearest key or item on the way to it. */
function findNode(document: Document, targets: Targets, path: Path): { node: unknown; nearest: Node | null } {
  let node: unknown = document.contents;
  let nearest: Node | null = document.contents;
  for (const part of path) {
    const found = findChild(resolve(node, targets), part, targets);
    if (found === undefined) return { node: undefined, nearest };
    ({ node } = found);
    nearest = found.at ?? nearest;
  }
  return { node: resolve(node, targets), nearest };
}

function findChild(
  parent: unknown,
  part: string | number,
  targets: Targets,
): { node: unknown; at: Node | null } | undefined {
  if (isSeq(parent)) {
    const item = parent.items[Number(part)] as Node | undefined;
    return item && { node: item, at: item };
  }
  if (!isMap(parent)) return undefined;
  const own = parent.items.find(({ key }) => nameOf(key) === String(part)) as Pair<Node, Node> | undefined;
  if (own) return { node: own.value, at: own.key };
  const merged = parent.items
    .filter(({ key }) => nameOf(key) === "<<")
    .flatMap(({ value }) => {
      const source = resolve(value, targets);
      return isSeq(source) ? source.items.map((item) => resolve(item, targets)) : [source];
    });
  for (const source of merged) {
    const found = findChild(source, part, targets);
    if (found) return found;
  }
  return undefined;
}

function resolve(node: unknown, targets: Targets): unknown {
  return isAlias(node) ? targets.get(node) : node;
}

/** Whether a key can only be a name, and no other content of a file. */
export function isPlainKey(key: string): boolean {
  return /^[A-Za-z][A-Za-z_-]{0,30}$/.test(key);
}

/** `models.films.policy.when.all[1]` */
export function formatPath(path: Path): string {
  const text = path.map((part, index) => {
    if (typeof part === "number") return `[${part}]`;
    // In a file that was named by mistake, what precedes a colon may be anything.
    if (index === 0 && !isPlainKey(part)) return "a key";
    return `.${/^[\w$-]+(\.[\w$-]+)*$/.test(part) ? part : JSON.stringify(part)}`;
  });
  return path.length === 0 ? "the file" : text.join("").replace(/^\./, "");
}
