import { DateTime } from "luxon";
import { z } from "zod";
import type { Guard } from "../check.ts";
import type { Fields, FieldValues } from "../fields.ts";
import { formatInstant } from "../format.ts";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const HOURS = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;

const fields = {
  days: {
    schema: z
      .array(z.enum(DAYS, { error: `expected a day: ${DAYS.join(", ")}` }), {
        error: "expected a list of days such as [sat, sun]",
      })
      .min(1, "expected at least one day"),
    optional: true,
    meaning: "The days; every day if left out.",
  },
  hours: {
    schema: z
      .string({ error: "expected hours such as 22:00-06:00" })
      .regex(HOURS, "expected hours such as 22:00-06:00")
      .refine((hours) => hours.slice(0, 5) !== hours.slice(6), {
        error: "expected two different times; leave hours out for the whole day",
      }),
    optional: true,
    meaning:
      "From when to when, on the clock of the zone; the whole day if left out. The day is the one on which they begin.",
  },
  zone: {
    schema: z
      .string({ error: "expected an IANA time zone such as Europe/Paris" })
      .refine(isZone, { error: "expected an IANA time zone such as Europe/Paris" }),
    default: "UTC",
    meaning: "IANA time zone.",
  },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** No training starts at these hours of these days; the model is re-evaluated when they end. */
export const quietHours = {
  id: "quiet_hours",
  key: "quietHours",
  reason: "quiet_hours",
  label: "Outside quiet hours?",
  ending: "the quiet hours end",
  fields,
  default: null,
  docs: {
    rule: "No training starts on these days, or at these hours, even if an event requested the decision; daylight saving is observed.",
    example: "quietHours: { days: [sat, sun], zone: Europe/Paris }",
  },
  findFaults: ({ days, hours }) => {
    if (days === undefined && hours === undefined)
      return [{ path: [], message: "quietHours needs days or hours: else it would never end" }];
    if (hours === undefined && new Set(days).size === DAYS.length)
      return [
        {
          path: ["days"],
          message: "expected at least one day without quiet hours: else they would never end",
        },
      ];
    return [];
  },
  evaluate({ now }, settings) {
    const end = findEnd(now, settings);
    const measured = { required: 0, actual: end === null ? 0 : 1, passed: end === null };
    return end === null ? measured : { ...measured, nextLookAt: end };
  },
  report: () => ["quiet hours, in which no training starts"],
  brief: ({ now, settings }) => `quiet hours until ${formatInstant(findEnd(now, settings) ?? now)}`,
  explain({ now, settings }) {
    const end = findEnd(now, settings) ?? now;
    return [`Quiet hours: ${describe(settings)}, until ${formatInstant(end)}`];
  },
  advise: () => ["Nothing to do: the model is re-evaluated when the quiet hours end"],
} as const satisfies Guard<typeof fields>;

function describe({ days, hours, zone }: Settings): string {
  return [days?.join(", "), hours, zone].filter((part) => part !== undefined).join(" ");
}

/** When the quiet hours end that cover an instant; null outside of them. Unix milliseconds. */
function findEnd(now: number, settings: Settings): number | null {
  const spells = knownSpells.get(settings) ?? [];
  const known = spells.find(({ from, to }) => from <= now && now < to);
  if (known) return known.isQuiet ? known.to : null;
  const quiet = isQuiet(now, settings);
  const to = listChanges(now, settings).find((at) => at > now && isQuiet(at, settings) !== quiet);
  if (to === undefined) return null;
  knownSpells.set(settings, [{ from: now, to, isQuiet: quiet }, ...spells.slice(0, MAX_SPELLS)]);
  return quiet ? to : null;
}

/** Spells of quiet hours and the time between them, as far as they were computed: an explanation needs the same ones often. */
const knownSpells = new WeakMap<Settings, { from: number; to: number; isQuiet: boolean }[]>();
const MAX_SPELLS = 50;

/** Whether the clock of the zone shows quiet hours. Hours over midnight belong to the day on which they begin. */
function isQuiet(at: number, { days, hours, zone }: Settings): boolean {
  const local = DateTime.fromMillis(at, { zone });
  const { from, to } = toMinutes(hours);
  const minute = local.hour * 60 + local.minute;
  const isOvernight = to <= from;
  const isMorning = isOvernight && minute < to;
  const isWithin = isOvernight ? minute >= from || isMorning : minute >= from && minute < to;
  const day = isMorning ? local.minus({ days: 1 }) : local;
  return isWithin && (days === undefined || days.includes(DAYS[day.weekday - 1] ?? "mon"));
}

const DAY_MINUTES = 24 * 60;

function toMinutes(hours: string | undefined): { from: number; to: number } {
  if (hours === undefined) return { from: 0, to: DAY_MINUTES };
  const [, fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = (HOURS.exec(hours) ?? []).map(Number);
  const to = toHour * 60 + toMinute;
  return { from: fromHour * 60 + fromMinute, to: to === 0 ? DAY_MINUTES : to };
}

/** The instants of the next days at which quiet hours may begin or end: the clock shows such a time, or is changed. */
function listChanges(now: number, { hours, zone }: Settings): number[] {
  const { from, to } = toMinutes(hours);
  const today = DateTime.fromMillis(now, { zone }).startOf("day");
  const days = Array.from({ length: 10 }, (_, index) => today.plus({ days: index - 1 }));
  const shown = days.flatMap((day) =>
    [0, from, to % DAY_MINUTES].flatMap((minutes) =>
      // At the end of summer time the clock shows a time twice.
      day
        .set({ hour: Math.floor(minutes / 60), minute: minutes % 60 })
        .getPossibleOffsets()
        .map((time) => time.toMillis()),
    ),
  );
  const changed = days.flatMap((day) => {
    const next = day.plus({ days: 1 });
    return day.offset === next.offset ? [] : [findTransition(day.toMillis(), next.toMillis(), zone)];
  });
  return [...shown, ...changed].toSorted((a, b) => a - b);
}

/** The minute between two instants at which the zone's offset changes. */
function findTransition(before: number, after: number, zone: string): number {
  const offsetAt = (at: number): number => DateTime.fromMillis(at, { zone }).offset;
  const first = offsetAt(before);
  let [low, high] = [Math.floor(before / 60_000), Math.ceil(after / 60_000)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 60_000) === first) low = middle;
    else high = middle;
  }
  return high * 60_000;
}

function isZone(zone: string): boolean {
  return /^[A-Z]/i.test(zone) && DateTime.utc().setZone(zone).isValid && !/^(local|system)$/i.test(zone);
}
