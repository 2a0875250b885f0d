/** How many models the metrics name; the rest is summed under `OTHER_MODELS`, or left out. */
export const MOST_LABELLED_MODELS = 1_000;

/** How many features of a model the metrics name. */
export const MOST_LABELLED_FEATURES = 20;

/** No model has this name: a model's name begins with a letter or a digit. */
export const OTHER_MODELS = "_other";

/** Labels the first names with themselves and all others alike, so that the number of series is bounded. */
export function limitLabels(names: Iterable<string>, limit = MOST_LABELLED_MODELS): (name: string) => string {
  const labelled = new Set<string>();
  for (const name of names) {
    if (labelled.size >= limit) break;
    labelled.add(name);
  }
  return (name) => (labelled.has(name) ? name : OTHER_MODELS);
}
