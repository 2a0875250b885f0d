import { z } from "zod";

/** A length of time as users write it, such as `7d`. In a parsed policy it is in its shortest form: `168h` becomes `7d`. */
export type Duration = string;

const UNIT_MS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 } as const;
type Unit = keyof typeof UNIT_MS;

const FORM = /^(\d+(?:\.\d+)?)\s*([smhdw])$/;
const EXPECTED = "expected a duration such as 7d, 24h, 10m or 30s";

/** The longest duration that a policy may use. */
const LONGEST_DURATION = "3650d";

/** Parses a duration between two limits. */
export function duration(min: Duration = "1s", max: Duration = LONGEST_DURATION) {
  return z
    .string({ error: EXPECTED })
    .regex(FORM, { error: EXPECTED, abort: true })
    .refine((text) => toMs(text) >= toMs(min) && toMs(text) <= toMs(max), {
      error: `expected a duration from ${min} to ${max}`,
    })
    .transform((text) => formatDuration(toMs(text)));
}

/** @param duration Must have the form of a duration. */
export function toMs(duration: Duration): number {
  const known = parsed.get(duration);
  if (known !== undefined) return known;
  const [, figure = "", unit = "s"] = FORM.exec(duration) ?? [];
  const ms = Math.round(Number(figure) * UNIT_MS[unit as Unit]);
  // The settings name few durations, but anything may be written there.
  if (parsed.size < MAX_PARSED) parsed.set(duration, ms);
  return ms;
}

const parsed = new Map<Duration, number>();
const MAX_PARSED = 1_000;

/** The shortest exact form of a duration in whole seconds: 604,800,000 -> "7d". Weeks are shown as days. */
export function formatDuration(ms: number): Duration {
  const seconds = Math.ceil(ms / 1000);
  for (const unit of ["d", "h", "m"] as const) {
    const size = UNIT_MS[unit] / 1000;
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

/** A length of time for people, rounded: "31 h", "12 min", "3.5 days". */
export function describeSpan(ms: number): string {
  const [days, hours, minutes] = [ms / UNIT_MS.d, ms / UNIT_MS.h, ms / UNIT_MS.m];
  if (days >= 10) return `${Math.round(days)} days`;
  if (hours >= 48) return `${Math.round(days * 10) / 10} days`;
  if (hours >= 1) return `${Math.round(hours)} h`;
  if (minutes >= 1) return `${Math.round(minutes)} min`;
  return `${Math.max(0, Math.ceil(ms / 1000))} s`;
}
