/** Works on all items, at most `limit` of them at once. Rejects with the first error, once the work under way has ended. */
export async function forEachAtOnce<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  // Shared, so that each item is taken once.
  const left = items.values();
  let hasFailed = false;
  const takeAll = async (): Promise<void> => {
    for (let next = left.next(); !next.done && !hasFailed; next = left.next()) {
      try {
        await work(next.value);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: limit }, takeAll));
  const failed = ended.find((end) => end.status === "rejected");
  if (failed) throw failed.reason;
}

/** How many requests to Redis are under way at once when there is one for each model. */
export const REQUESTS_AT_ONCE = 64;
