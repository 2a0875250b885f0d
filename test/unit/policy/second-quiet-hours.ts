/** Quiet hours, a second time: what the clock on a wall of the zone shows. */

type Settings = Readonly<Record<string, unknown>>;

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known) return known;
  const clock = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
  clocks.set(timeZone, clock);
  return clock;
}

/** Whether an instant is in quiet hours. Hours over midnight belong to the day on which they begin. */
export function isQuiet(now: number, { days, hours, zone }: Settings): boolean {
  const parts = clockOf(String(zone)).formatToParts(now);
  const show = (type: string): string => parts.find((part) => part.type === type)?.value ?? "";
  const today = DAYS.indexOf(show("weekday").toLowerCase());
  const time = `${show("hour")}:${show("minute")}`;
  const isListed = (day: number): boolean =>
    days === undefined || (days as string[]).includes(DAYS[(day + 7) % 7] ?? "");
  if (hours === undefined) return isListed(today);
  const [from = "", to = ""] = (hours as string).split("-");
  if (from < to) return from <= time && time < to && isListed(today);
  return (time >= from && isListed(today)) || (time < to && isListed(today - 1));
}
