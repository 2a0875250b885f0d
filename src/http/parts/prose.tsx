import { Time } from "./time.tsx";

/** An instant as `formatInstant` writes it. */
const INSTANT = /\b(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)\b/;

/** A text in which each instant is shown in the reader's zone, with its distance. What is no date stays as it was written. */
export function Prose({ text, now }: { text: string; now: number }) {
  return (
    <>
      {text.split(INSTANT).map((part, index) => {
        const at = index % 2 === 1 ? toInstant(part) : null;
        return at === null ? part : <Time at={at} now={now} distance="in brackets" />;
      })}
    </>
  );
}

/** Null for what is no date. `Date` takes 31 February for 3 March. */
function toInstant(text: string): string | null {
  const at = text.replace(" UTC", "Z").replace(" ", "T");
  const ms = Date.parse(at);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(at.slice(0, -1)) ? at : null;
}
