/** Changes daily and stays the same all day, so that a failure can be reproduced. */
export const DAY = Math.floor(Date.now() / 86_400_000);

/** What takes long is tested once in some days: the share of a list that is due today. */
export function dueToday<T>(all: readonly T[], days: number): T[] {
  return all.filter((_, index) => (index + DAY) % days === 0);
}
