import { describeSpan } from "../../core/duration.ts";

/** An instant, ISO 8601: in UTC here, in the reader's zone once the script runs. Nothing for null. */
export function Time({
  at,
  now,
  distance = "shown",
}: {
  at: string | null;
  now: number;
  /** How far away it is, behind it. */
  distance?: "shown" | "in brackets" | "none";
}) {
  if (at === null || Number.isNaN(Date.parse(at))) return <span class="none">–</span>;
  const [date = "", clock = ""] = new Date(at).toISOString().split("T");
  const [open, close] = distance === "in brackets" ? ["(", ")"] : ["", ""];
  return (
    <time dateTime={new Date(at).toISOString()} title={`${date} ${clock.slice(0, 8)} UTC`}>
      <span data-time>{`${date} ${clock.slice(0, 5)}`}</span>
      {distance !== "none" && (
        <>
          {` ${open}`}
          <span class="rel" data-rel>
            {describeDistance(Date.parse(at) - now)}
          </span>
          {close}
        </>
      )}
    </time>
  );
}

/** "3 h ago", "in 20 min". A page is rendered a moment after its time was taken. */
function describeDistance(ms: number): string {
  if (Math.abs(ms) < 2_000) return "just now";
  return ms > 0 ? `in ${describeSpan(ms)}` : `${describeSpan(-ms)} ago`;
}
