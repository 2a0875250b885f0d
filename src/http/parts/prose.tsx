import { describeDistance, Time } from "./time.tsx";

/** An instant as `formatInstant` writes it. */
const INSTANT = /(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)/;

/** A text in which each instant is shown in the reader's zone, with its distance. */
export function Prose({ text, now }: { text: string; now: number }) {
  return (
    <>
      {text.split(INSTANT).map((part, index) => {
        if (index % 2 === 0) return part;
        const at = part.replace(" UTC", "Z").replace(" ", "T");
        return (
          <>
            <Time at={at} now={now} bare /> (<span class="rel">{describeDistance(Date.parse(at) - now)}</span>
            )
          </>
        );
      })}
    </>
  );
}
