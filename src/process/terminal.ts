/** Everything that a terminal obeys or that reorders text, except line ends and tabs. */
const CONTROLS = /[^\P{Cc}\n\t]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Makes text from outside safe to print: a name in a table must not move the cursor, hide a line or set the window's title.
 * The escapes are those of JSON, so that JSON stays the same value.
 */
export function escapeControls(text: string): string {
  return text.replaceAll(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
