import type { Document, YAMLError } from "yaml";

/** A fault of the YAML itself. */
export interface LineFault {
  line: number;
  message: string;
}

/**
 * The library's errors in plain words, one a line: the first of a line causes the others. They never quote the file, which may
 * be another one than was meant, such as a private key.
 */
export function listSyntaxFaults(document: Document, lineAt: (offset: number) => number): LineFault[] {
  const faults = new Map<number, string>();
  for (const { code, pos } of [...document.errors, ...document.warnings]) {
    const line = lineAt(pos[0]);
    if (!faults.has(line)) faults.set(line, PLAIN[code] ?? "this is not valid YAML");
  }
  return [...faults]
    .map(([line, message]) => ({ line, message }))
    .toSorted((a, b) => a.line - b.line)
    .slice(0, MAX_FAULTS);
}

/** The faults after the first ones are mostly their consequences. */
const MAX_FAULTS = 5;

const INDENT =
  "the indentation does not fit: what belongs together begins in the same column (or a bracket above is not closed)";
const CLOSING = "a bracket, quote or comma is missing here or above";

const PLAIN: Readonly<Partial<Record<YAMLError["code"], string>>> = {
  ALIAS_PROPS: "an alias (*name) can have neither an anchor nor a tag",
  BAD_ALIAS: "this alias (*name) has no anchor (&name) above it",
  BAD_COLLECTION_TYPE: "tags (!name) are not supported: remove it",
  BAD_DIRECTIVE: "directives (%) are not supported: remove it, or put the text in quotes",
  BAD_DQ_ESCAPE: 'unknown escape in "double quotes": write \\\\ for a backslash, or use single quotes',
  BAD_INDENT: INDENT,
  BAD_PROP_ORDER: "an anchor (&name) belongs before the value that it names",
  BAD_SCALAR_START: "a text that begins with this character must stand in quotes",
  BLOCK_AS_IMPLICIT_KEY:
    "a key where a value is expected: check the indentation, or put a text that contains a colon in quotes",
  BLOCK_IN_FLOW: "within { } or [ ] everything must be written in { } or [ ] too",
  IMPOSSIBLE: INDENT,
  KEY_OVER_1024_CHARS: "a key is far too long: is a colon or a quote missing?",
  MISSING_CHAR: CLOSING,
  MULTILINE_IMPLICIT_KEY: "a key must stand on one line and end with a colon: is a colon missing?",
  MULTIPLE_ANCHORS: "a value can have one anchor (&name) only",
  MULTIPLE_DOCS: "the file must be one document: remove this line (---)",
  MULTIPLE_TAGS: "tags (!name) are not supported: remove them",
  TAB_AS_INDENT: "a tab cannot indent: use spaces",
  TAG_RESOLVE_FAILED: "tags (!name) are not supported: remove it, or put the text in quotes",
  RESOURCE_EXHAUSTION: "lists and mappings are nested too deeply",
  UNEXPECTED_TOKEN:
    "this does not belong here: is a bracket, quote or comma missing, or the indentation wrong?",
};
