import type { ComponentChildren } from "preact";
import type { Answer } from "../../core/answer.ts";
import type { Explanation, Flip } from "../../core/explain/explanation.ts";
import { Badge } from "./badge.tsx";
import { Prose } from "./prose.tsx";

/** The answer of a page: its state, one sentence, and what would change that. */
export function AnswerPanel({
  answer: { tone, label, sentence, details },
  flip,
  now,
  children,
}: {
  answer: Answer;
  /** What would change it, as a sentence. */
  flip: string | null;
  now: number;
  children?: ComponentChildren;
}) {
  return (
    <section id="answer" data-part class={`panel answer ${tone}`}>
      <Badge tone={tone}>{label}</Badge>
      <p class="sentence">
        <Prose text={sentence} now={now} />
      </p>
      {details.map((detail) => (
        <p>
          <Prose text={detail} now={now} />
        </p>
      ))}
      {flip !== null && (
        <p class="flip">
          <Prose text={flip} now={now} />
        </p>
      )}
      {children}
    </section>
  );
}

/** "What would change that: 12,400 more ratings, about 31 h at the pace of the last 7 days." */
export function describeNearestFlip(explanation: Explanation | null, isPast: boolean): string | null {
  const flip = explanation?.nearestFlips[0];
  if (flip === undefined) return null;
  return `What would ${isPast ? "have changed" : "change"} that: ${describeFlip(flip)}.`;
}

/** The distance of an instant in the text is shown anyway. */
function describeFlip({ text, eta }: Flip): string {
  return eta === null || text.endsWith(" UTC") ? text : `${text} (${eta.text})`;
}

/** Every set of changes that would turn the verdict, what did not count, and what is likely wrong with the sources. */
export function Explained({
  explanation,
  isPast,
  now,
}: {
  explanation: Explanation;
  isPast: boolean;
  now: number;
}) {
  const { nearestFlips, notCounted, warnings } = explanation;
  return (
    <>
      {nearestFlips.length > 0 && (
        <>
          <h3>{isPast ? "What would have changed it" : "What would change it"}</h3>
          <ul>
            {nearestFlips.map((flip) => (
              <li>
                <Prose text={describeFlip(flip)} now={now} />
              </li>
            ))}
          </ul>
        </>
      )}
      {notCounted.length > 0 && (
        <>
          <h3>Not counted</h3>
          <ul>
            {notCounted.map(({ text }) => (
              <li>
                <Prose text={text} now={now} />
              </li>
            ))}
          </ul>
        </>
      )}
      {warnings.map(({ text }) => (
        <p class="notice">
          <Prose text={`Warning: ${text}`} now={now} />
        </p>
      ))}
    </>
  );
}
