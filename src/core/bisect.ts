/** How many items of a sorted list come first: `isFirst` holds for those, and for none after them. */
export function bisect<Item>(items: readonly Item[], isFirst: (item: Item) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isFirst(items[middle] as Item)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many of some ascending figures are at most `limit`. */
export function countUpTo(figures: readonly number[], limit: number): number {
  return bisect(figures, (figure) => figure <= limit);
}
