/** Cuts secrets out of a text that comes from outside or goes there. */
export type Redact = (text: string) => string;

// Tokens that GitHub made for us, which no setting holds.
const GITHUB_TOKEN = /\b(?:gh[a-z]_\w{20,}|github_pat_\w{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})/g;
/** A line of a private key, or of any other secret of several lines, is a secret too; its marks are not. */
const SHORTEST_LINE = 16;

/**
 * Puts the name of its setting in the place of each secret, also where a URL or JSON wrote it in their own way.
 *
 * @param secrets Values by the name of their setting.
 */
export function createRedactor(secrets: ReadonlyMap<string, string>): Redact {
  const forms = [...secrets].flatMap(([name, value]) =>
    [value, ...value.split("\n").filter((line) => line.length >= SHORTEST_LINE && !line.startsWith("-----"))]
      .flatMap((text) => [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)])
      .map((form) => ({ form, name: `[${name}]` })),
  );
  // The longest first, so that no part of one is left over.
  const sorted = forms.toSorted((a, b) => b.form.length - a.form.length);
  return (text) =>
    sorted
      .reduce((left, { form, name }) => left.replaceAll(form, () => name), text)
      .replace(GITHUB_TOKEN, "[GitHub token]");
}
