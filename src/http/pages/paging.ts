/** How many rows a page shows. */
export const ROWS = 50;

/**
 * The rows of a page, of which one more than `ROWS` was read, and the last one shown; null if no more follow.
 */
export function takePage<Row>(rows: readonly Row[]): { shown: readonly Row[]; last: Row | null } {
  const shown = rows.slice(0, ROWS);
  return { shown, last: rows.length > ROWS ? (shown.at(-1) ?? null) : null };
}
