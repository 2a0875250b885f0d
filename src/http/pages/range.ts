const DAY = 86_400;

/** The ranges of time that a chart may show. */
export const RANGES = [
  { name: "7d", label: "7 days", seconds: 7 * DAY },
  { name: "30d", label: "30 days", seconds: 30 * DAY },
  { name: "60d", label: "60 days", seconds: 60 * DAY },
  { name: "180d", label: "180 days", seconds: 180 * DAY },
  { name: "365d", label: "365 days", seconds: 365 * DAY },
] as const;

/** The range of a name; two months for any other. */
export function findRange(name: string | undefined): (typeof RANGES)[number] {
  return RANGES.find((range) => range.name === name) ?? RANGES[2];
}
