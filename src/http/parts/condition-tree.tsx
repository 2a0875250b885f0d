import type { ComponentChildren } from "preact";
import type { CheckResult, Criterion } from "../../core/check.ts";
import type { ConditionResult } from "../../core/condition.ts";
import { CRITERIA } from "../../core/criteria/registry.ts";
import { Bar } from "./bar.tsx";
import { Time } from "./time.tsx";

const NAMES = { all: "All of these:", any: "Any of these:" } as const;

/** A condition with the result of every criterion and combination. */
export function ConditionTree({ result, unit, now }: { result: ConditionResult; unit: string; now: number }) {
  return (
    <ul class="tree">
      <Node result={result} unit={unit} now={now} />
    </ul>
  );
}

function Node({ result, unit, now }: { result: ConditionResult; unit: string; now: number }) {
  if (result.kind === "criterion") {
    const criterion: Criterion | undefined = CRITERIA.find(({ id }) => id === result.id);
    const counted = criterion?.measuresBuffer ? unit : criterion?.unit;
    return (
      <li>
        <Mark isYes={result.passed} /> {result.label}
        <Bar actual={result.actual} required={result.required} unit={counted} isMet={result.passed} />
        {result.nextLookAt !== undefined && (
          <small>
            May pass by itself: <Time at={result.nextLookAt} now={now} />
          </small>
        )}
      </li>
    );
  }
  const name = result.kind === "atLeast" ? `At least ${result.count} of these:` : NAMES[result.kind];
  return (
    <li>
      <Mark isYes={result.passed} /> {name}
      <ul>
        {result.children.map((child) => (
          <Node result={child} unit={unit} now={now} />
        ))}
      </ul>
    </li>
  );
}

/** The guards that were asked, those that object first. */
export function GuardList({
  guards,
  now,
  isPast,
}: {
  guards: readonly CheckResult[];
  now: number;
  isPast: boolean;
}) {
  if (guards.length === 0) return <p class="soft">This policy has no guards.</p>;
  return (
    <ul class="tree">
      {guards
        .toSorted((a, b) => Number(a.passed) - Number(b.passed))
        .map((guard) => (
          <li>
            <Mark isYes={guard.passed} /> {guard.label}
            {guard.overridden && <small>It objected, and was overridden by a forced decision.</small>}
            {!guard.passed && guard.overridden === undefined && (
              <small>
                {guard.nextLookAt === undefined ? (
                  `${isPast ? "Objected" : "Objects"}, until something else changes.`
                ) : (
                  <>
                    {isPast ? "Objected until " : "Objects until "}
                    <Time at={guard.nextLookAt} now={now} />
                  </>
                )}
              </small>
            )}
          </li>
        ))}
    </ul>
  );
}

function Mark({ isYes }: { isYes: boolean }): ComponentChildren {
  return (
    <span class={`mark ${isYes ? "yes" : "no"}`}>
      {isYes ? "✓" : "✕"}
      <span class="visually-hidden">{isYes ? " yes: " : " no: "}</span>
    </span>
  );
}
