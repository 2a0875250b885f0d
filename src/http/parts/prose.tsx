import { Time } from "./time.tsx";

/** An instant as `formatInstant` writes it. */
const INSTANT = /(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)/;

/** A text in which each instant is shown in the reader's zone, with its distance. */
export function Prose({ text, now }: { text: string; now: number }) {
  return (
    <>
      {text
        .split(INSTANT)
        .map((part, index) =>
          index % 2 === 0 ? (
            part
          ) : (
            <Time at={part.replace(" UTC", "Z").replace(" ", "T")} now={now} distance="in brackets" />
          ),
        )}
    </>
  );
}
