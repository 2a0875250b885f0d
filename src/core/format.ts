const thousands = new Intl.NumberFormat("en-US");

/** 700000 -> "700,000". */
export function formatCount(count: number): string {
  // A report has dozens of them, and Intl takes ten times as long.
  return Number.isSafeInteger(count)
    ? String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ",")
    : thousands.format(count);
}

/** "1 decision", "1,200 decisions" */
export function formatQuantity(count: number, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}

/** 0.0975 -> "0.0975"; "N/A" without a score. */
export function formatScore(score: number | null): string {
  return score === null ? "N/A" : score.toFixed(4);
}

/** An ISO time as "2025-12-21 14:54" in the given IANA zone; a text that is not a time is returned unchanged. */
export function formatTime(iso: string | null, timeZone: string): string {
  if (iso === null) return "(no date)       ";
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  return formatterOf(timeZone).format(time);
}

/** An instant, ISO 8601 or Unix milliseconds, as "2026-12-01 06:00 UTC"; with the seconds if there are any. */
export function formatInstant(time: string | number): string {
  const [date, clock = ""] = new Date(time).toISOString().split("T");
  return `${date} ${clock.slice(0, clock.slice(6, 8) === "00" ? 5 : 8)} UTC`;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** One formatter per zone: creating one costs as much as a hundred uses. */
function formatterOf(timeZone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(timeZone);
  if (!formatter) {
    // The Swedish format is ISO 8601 with a space.
    formatter = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
    formatters.set(timeZone, formatter);
  }
  return formatter;
}

/** An external text on one line, without characters that a terminal would obey or that reorder text. */
export function toPlain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, " ");
}

const ratios = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });

/** 1.95312 -> "1.953". */
export function formatRatio(ratio: number): string {
  return ratios.format(ratio);
}
