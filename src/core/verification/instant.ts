/** An instant (ISO 8601, to the microsecond) in Unix microseconds; NaN for a text that is none. */
export function toMicroseconds(time: string): number {
  const [, digits = ""] = /\.(\d+)/.exec(time) ?? [];
  const seconds = Date.parse(time.replace(/\.\d+/, ""));
  return seconds * 1000 + Number(digits.slice(0, 6).padEnd(6, "0"));
}

/** Whether two texts are the same instant, or both are none. */
export function isSameInstant(one: string | null, other: string | null): boolean {
  if (one === null || other === null) return one === other;
  return toMicroseconds(one) === toMicroseconds(other);
}
