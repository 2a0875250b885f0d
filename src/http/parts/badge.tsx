import type { Tone } from "../../core/standing.ts";

const SIGNS: Readonly<Record<Tone, string>> = {
  bad: "✕",
  act: "?",
  busy: "◐",
  good: "✓",
  wait: "Ⅱ",
  calm: "·",
};

/** A state in words, a sign and a colour, so that none of them is needed alone. */
export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {children}
    </span>
  );
}
