import { distance } from "fastest-levenshtein";

/** The known name that a misspelled one most likely means; undefined if none is close. */
export function findNearest(name: string, known: readonly string[]): string | undefined {
  const normalize = (text: string): string => text.toLowerCase().replaceAll(/[-_ ]/g, "");
  // Two swapped letters are two steps.
  const limit = Math.max(name.length < 4 ? 1 : 2, Math.floor(name.length / 3));
  const ranked = known
    .map((candidate) => ({ candidate, steps: distance(normalize(name), normalize(candidate)) }))
    .toSorted((a, b) => a.steps - b.steps);
  const [best] = ranked;
  return best !== undefined && best.steps <= limit ? best.candidate : undefined;
}
