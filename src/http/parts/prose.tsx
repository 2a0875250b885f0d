import { Time } from "./time.tsx";

/** An instant as `formatInstant` writes it. */
const INSTANT = /\b(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)\b/;

/** A text in which each instant is shown in the reader's zone, with its distance. What is no date stays as it was written. */
export function Prose({ text, now }: { text: string; now: number }) {
  return (
    <>
      {text.split(INSTANT).map((part, index) => {
        const at = part.replace(" UTC", "Z").replace(" ", "T");
        const isInstant = index % 2 === 1 && !Number.isNaN(Date.parse(at));
        return isInstant ? <Time at={at} now={now} distance="in brackets" /> : part;
      })}
    </>
  );
}
