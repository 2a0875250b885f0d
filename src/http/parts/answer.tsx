import type { ComponentChildren } from "preact";
import type { Answer } from "../../core/answer.ts";
import type { Explanation, Flip } from "../../core/explain/explanation.ts";
import { Badge } from "./badge.tsx";

/** The answer of a page: its state, one sentence, and what would change that. */
export function AnswerPanel({
  answer: { tone, label, sentence, details },
  turn,
  children,
}: {
  answer: Answer;
  turn: string | null;
  children?: ComponentChildren;
}) {
  return (
    <section id="answer" data-part class={`panel answer ${tone}`}>
      <Badge tone={tone}>{label}</Badge>
      <p class="sentence">{sentence}</p>
      {details.map((detail) => (
        <p>{detail}</p>
      ))}
      {turn !== null && <p class="turn">{turn}</p>}
      {children}
    </section>
  );
}

/** "What would change that: 12,400 more ratings, about 31 h at the pace of the last 7 days." */
export function describeTurn(explanation: Explanation | null, isPast: boolean): string | null {
  const flip = explanation?.nearestFlips[0];
  if (flip === undefined) return null;
  return `What would ${isPast ? "have changed" : "change"} that: ${describeFlip(flip)}.`;
}

function describeFlip({ text, eta }: Flip): string {
  return eta === null ? text : `${text} (${eta.text})`;
}

/** Every set of changes that would turn the verdict, what did not count, and what is likely wrong with the sources. */
export function Explained({ explanation, isPast }: { explanation: Explanation; isPast: boolean }) {
  const { nearestFlips, notCounted, warnings } = explanation;
  return (
    <>
      {nearestFlips.length > 0 && (
        <>
          <h3>{isPast ? "What would have changed it" : "What would change it"}</h3>
          <ul>
            {nearestFlips.map((flip) => (
              <li>{describeFlip(flip)}</li>
            ))}
          </ul>
        </>
      )}
      {notCounted.length > 0 && (
        <>
          <h3>Not counted</h3>
          <ul>
            {notCounted.map(({ text }) => (
              <li>{text}</li>
            ))}
          </ul>
        </>
      )}
      {warnings.map(({ text }) => (
        <p class="notice">{`Warning: ${text}`}</p>
      ))}
    </>
  );
}
