/** A shadow policy, and the decisions beside which it was judged. */
export interface ShadowUse {
  policyHash: string;
  /** As recorded. */
  policy: unknown;
  /** ISO 8601, of the first and the last of them. */
  from: string;
  to: string;
  decisions: number;
  /** On how many of them both say trigger, or both no_action. */
  agreed: number;
}

/** A decision on which the shadow policy disagrees, or several in a row for the same reason. */
export interface Disagreement {
  count: number;
  firstId: number;
  lastId: number;
  /** ISO 8601. */
  from: string;
  to: string;
  /** Of the last one. */
  decided: Said;
  shadow: Said;
  policyHash: string;
}

interface Said {
  decision: string;
  reason: string;
  /** In a few words; null if it was not recorded. */
  why: string | null;
}

/** How far a model's shadow policies agree with its decisions. */
export interface ShadowReport {
  model: string;
  /** The shadow policy in force on one line; null if there is none. */
  shadow: string | null;
  /** How far back it goes, as a duration. */
  since: string;
  /** ISO 8601, of the first and the last decision beside which a shadow policy was judged; null for none. */
  from: string | null;
  to: string | null;
  decisions: number;
  agreed: number;
  /** In percent, rounded down, so that 100 means every decision; null without decisions. */
  agreement: number | null;
  /** Decisions since the first one beside which no shadow policy was judged. */
  unjudged: number;
  /** The newest first. */
  policies: ShadowUse[];
  /** The newest first, and only so many of them. */
  disagreements: Disagreement[];
  /** How many decisions the listed disagreements leave out. */
  unlisted: number;
}

/** Sums up what shadow policies said. */
export function summarizeShadow(
  model: Pick<ShadowReport, "model" | "shadow" | "since" | "unjudged">,
  policies: readonly ShadowUse[],
  disagreements: readonly Disagreement[],
): ShadowReport {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const decisions = sum(policies.map((use) => use.decisions));
  const agreed = sum(policies.map((use) => use.agreed));
  return {
    ...model,
    from: policies.map(({ from }) => from).toSorted()[0] ?? null,
    to:
      policies
        .map(({ to }) => to)
        .toSorted()
        .at(-1) ?? null,
    decisions,
    agreed,
    agreement: decisions === 0 ? null : Math.floor((1000 * agreed) / decisions) / 10,
    policies: [...policies],
    disagreements: [...disagreements],
    unlisted: decisions - agreed - sum(disagreements.map(({ count }) => count)),
  };
}
