/** The median of some figures, the upper one of two; null if there are none. */
export function findMedian(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
}
