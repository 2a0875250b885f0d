import type { ComponentChildren } from "preact";
import type { Verdict } from "../../core/evaluate.ts";
import type { Evidence } from "../../core/evidence.ts";
import type { Explanation } from "../../core/explain/explanation.ts";
import { Explained } from "./answer.tsx";
import { ConditionTree, GuardList } from "./condition-tree.tsx";

interface Judged {
  basis: { evidence: Evidence; verdict: Verdict };
  /** Whether it was judged at some time in the past. */
  isPast: boolean;
  now: number;
}

/** The condition with every result, and what would turn it. */
export function Conditions({
  basis: { evidence, verdict },
  explanation,
  isPast,
  now,
}: Judged & { explanation: Explanation | null }) {
  return (
    <section class="panel">
      <h2>Conditions</h2>
      {verdict.condition !== null && (
        <ConditionTree result={verdict.condition} unit={evidence.buffer.unit} now={now} />
      )}
      {explanation !== null && <Explained explanation={explanation} isPast={isPast} now={now} />}
    </section>
  );
}

export function Guards({ basis, isPast, now, children }: Judged & { children?: ComponentChildren }) {
  return (
    <section class="panel">
      <h2>Guards</h2>
      <GuardList guards={basis.verdict.guards} now={now} isPast={isPast} />
      {children}
    </section>
  );
}
