import {
  BROUGHT_WORDS,
  type Brought,
  describeOutcome,
  judgeOutcome,
  type RecordedOutcome,
} from "../../core/outcome/outcome.ts";
import type { Tone } from "../../core/standing.ts";
import { Badge } from "./badge.tsx";
import { Time } from "./time.tsx";

const TONES: Readonly<Record<Brought, Tone>> = {
  improved: "good",
  nothing: "wait",
  worse: "bad",
  unknown: "calm",
};

export function BroughtBadge({ brought }: { brought: Brought }) {
  return <Badge tone={TONES[brought]}>{BROUGHT_WORDS[brought]}</Badge>;
}

/** What a training brought, by each metric. */
export function Outcomes({ outcomes, now }: { outcomes: readonly RecordedOutcome[]; now: number }) {
  return (
    <>
      <h3>What it brought</h3>
      {outcomes.length === 0 ? (
        <p class="soft">No outcome was reported.</p>
      ) : (
        <>
          <p>
            <BroughtBadge brought={judgeOutcome(outcomes)} />
          </p>
          <ul>
            {outcomes.map((outcome) => (
              <li>
                {describeOutcome(outcome)}
                <small>
                  {`reported by ${outcome.by} (${outcome.source}) `}
                  <Time at={outcome.at} now={now} />
                </small>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
