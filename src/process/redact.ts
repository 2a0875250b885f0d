/** Removes secrets from a text that comes from or goes to the outside. */
export type Redact = (text: string) => string;

// Tokens that GitHub issued to us, which are in no setting.
const GITHUB_TOKEN = /\b(?:gh[a-z]_\w{20,}|github_pat_\w{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})/g;
/** Each line of a private key, or of another secret of several lines, is a secret too, except short lines and the marks. */
const SHORTEST_LINE = 16;

/**
 * Replaces each secret by the name of its setting, even if the secret is encoded for a URL or for JSON.
 *
 * @param secrets The secret values by the name of their setting.
 */
export function createRedactor(secrets: ReadonlyMap<string, string>): Redact {
  const forms = [...secrets].flatMap(([name, value]) =>
    [value, ...value.split("\n").filter((line) => line.length >= SHORTEST_LINE && !line.startsWith("-----"))]
      .flatMap((text) => [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)])
      .map((form) => ({ form, name: `[${name}]` })),
  );
  // The longest first, so that a shorter one does not leave part of a longer one behind.
  const sorted = forms.toSorted((a, b) => b.form.length - a.form.length);
  return (text) =>
    sorted
      .reduce((left, { form, name }) => left.replaceAll(form, () => name), text)
      .replace(GITHUB_TOKEN, "[GitHub token]");
}

/** A redactor that may learn of more secrets. It forgets none, because work may still depend on the old settings. */
export interface GrowingRedactor {
  redact: Redact;
  add(secrets: ReadonlyMap<string, string>): void;
}

export function createGrowingRedactor(initial: ReadonlyMap<string, string>): GrowingRedactor {
  let secrets = initial;
  let redact = createRedactor(secrets);
  return {
    redact: (text) => redact(text),
    add(more) {
      secrets = new Map([...secrets, ...more]);
      redact = createRedactor(secrets);
    },
  };
}
