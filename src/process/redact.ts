import { listForms, listShortForms } from "./encodings.ts";

/** Removes secrets from a text that comes from or goes to the outside. Redact before you cut: of a secret that was cut first, a part would remain. */
export type Redact = (text: string) => string;

/** Redacts every text of a JSON value, however deep; its keys stay. */
export function redactTexts(value: unknown, redact: Redact): unknown {
  if (typeof value === "string") return redact(value);
  if (Array.isArray(value)) return value.map((each) => redactTexts(each, redact));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, redactTexts(each, redact)]));
}

// Tokens that GitHub issued to us, which are in no setting.
const GITHUB_TOKEN = /\b(?:gh[a-z]_\w{20,}|github_pat_\w{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})/g;

/** Shorter values are redacted nowhere: they occur in ordinary words. */
const SHORTEST_SECRET = 6;

/** Each line of a private key, or of another secret of several lines, is a secret too, except short lines and the marks. */
const SHORTEST_LINE = 16;

/**
 * Replaces each secret by the name of its setting, also if the secret is encoded (see `listForms`). The forms are indexed once,
 * because every line of the log is searched: a line without a secret takes microseconds, however many secrets there are.
 *
 * @param secrets The secret values by the name of their setting.
 */
export function createRedactor(secrets: ReadonlyMap<string, string>): Redact {
  const names = new Map<string, string>();
  for (const [name, value] of secrets)
    for (const form of listSecretForms(value)) if (!names.has(form)) names.set(form, `[${name}]`);
  const find = createFinder([...names.keys()]);
  return (text) => {
    let redacted = "";
    let rest = 0;
    for (let found = find(text, 0); found !== null; found = find(text, rest)) {
      redacted += text.slice(rest, found.at) + names.get(found.form);
      rest = found.at + found.form.length;
    }
    return (rest === 0 ? text : redacted + text.slice(rest)).replace(GITHUB_TOKEN, "[GitHub token]");
  };
}

function listSecretForms(value: string): string[] {
  if (value.length < SHORTEST_SECRET) return [];
  if (!value.includes("\n")) return [...listForms(value)];
  const lines = value
    .split(/\r?\n/)
    .filter((line) => line.length >= SHORTEST_LINE && !line.startsWith("-----"));
  return [...listShortForms(value), ...lines.flatMap((line) => [...listForms(line)])];
}

const FILTER_SIZE = 1 << 16;

/** Returns a function that finds the first of the forms at or after a position; of several at one place, the longest. */
function createFinder(forms: readonly string[]) {
  // No form is shorter than a secret, so each has a beginning of this length.
  const byBeginning = new Map<string, string[]>();
  // The longest first, so that a shorter one does not leave part of a longer one behind.
  for (const form of forms.toSorted((a, b) => b.length - a.length)) {
    const beginning = form.slice(0, SHORTEST_SECRET);
    const others = byBeginning.get(beginning);
    if (others) others.push(form);
    else byBeginning.set(beginning, [form]);
  }
  // Almost every position is ruled out by one read.
  const filter = new Uint8Array(FILTER_SIZE);
  for (const beginning of byBeginning.keys()) filter[hashAt(beginning, 0)] = 1;
  return (text: string, from: number): { at: number; form: string } | null => {
    for (let at = from; at <= text.length - SHORTEST_SECRET; at += 1) {
      if (filter[hashAt(text, at)] === 0) continue;
      const candidates = byBeginning.get(text.slice(at, at + SHORTEST_SECRET));
      const form = candidates?.find((candidate) => text.startsWith(candidate, at));
      if (form !== undefined) return { at, form };
    }
    return null;
  };
}

/** A number below `FILTER_SIZE` for the four characters at a position. */
function hashAt(text: string, at: number): number {
  return (
    (text.charCodeAt(at) * 4_093 +
      text.charCodeAt(at + 1) * 521 +
      text.charCodeAt(at + 2) * 67 +
      text.charCodeAt(at + 3)) &
    (FILTER_SIZE - 1)
  );
}

/** A redactor that may learn of more secrets. It forgets none, because work may still depend on the old settings. */
export interface GrowingRedactor {
  redact: Redact;
  add(secrets: ReadonlyMap<string, string>): void;
}

export function createGrowingRedactor(initial: ReadonlyMap<string, string>): GrowingRedactor {
  const known = new Set(initial.values());
  let redact = createRedactor(initial);
  return {
    redact: (text) => redact(text),
    add(more) {
      const unknown = [...more].filter(([, value]) => !known.has(value));
      if (unknown.length === 0) return;
      for (const [, value] of unknown) known.add(value);
      const [before, own] = [redact, createRedactor(new Map(unknown))];
      redact = (text) => own(before(text));
    },
  };
}
