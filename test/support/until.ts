/** Waits until `check` returns something truthy, and returns that. */
export async function until<T>(
  what: string,
  check: () => Promise<T>,
  limitMs = 25_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const result = await check();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`Not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
