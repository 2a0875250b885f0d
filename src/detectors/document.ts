import { parseJson } from "../core/parse.ts";

/**
 * Parses JSON as Python writes it: `NaN` becomes null, and `Infinity` an infinite number. Returns undefined if it is no JSON.
 */
export function parseDocument(text: string): unknown {
  const value = parseJson(text);
  return value === undefined && /NaN|Infinity/.test(text) ? parseJson(replaceBareWords(text)) : value;
}

const REPLACEMENTS: Readonly<Record<string, string>> = { NaN: "null", Infinity: "1e999" };

/** Replaces the words that JSON has not, outside of texts. */
function replaceBareWords(text: string): string {
  const parts: string[] = [];
  let start = 0;
  while (start < text.length) {
    const quote = text.indexOf('"', start);
    const end = quote === -1 ? text.length : quote;
    parts.push(
      text.slice(start, end).replaceAll(/\b(?:NaN|Infinity)\b/g, (word) => REPLACEMENTS[word] ?? word),
    );
    start = quote === -1 ? text.length : findEnd(text, quote);
    parts.push(text.slice(end, start));
  }
  return parts.join("");
}

/** The position after the text that begins at a quote. */
function findEnd(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}
