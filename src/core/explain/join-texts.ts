/** "a, b, and c" */
export function joinChanges(texts: readonly string[]): string {
  return texts
    .map((text, index) => (index > 0 && index === texts.length - 1 ? `and ${text}` : text))
    .join(", ");
}

/** "a, b and c" */
export function joinTexts(texts: readonly string[]): string {
  return [texts.slice(0, -1).join(", "), ...texts.slice(-1)].filter((text) => text !== "").join(" and ");
}
