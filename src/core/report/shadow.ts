import { toMs } from "../duration.ts";
import { formatCount, formatInstant, formatQuantity, toPlain } from "../format.ts";
import { wrapLine } from "./wrap.ts";
import type { Disagreement, ShadowReport, ShadowUse } from "../shadow-report.ts";

/** What a reader must know to read the figures. */
export function describeShadowLimits(model: string): string {
  return `A shadow starts no training, so it goes on saying trigger about the same alerts. What would have followed: npx retrigger backtest --model ${model}`;
}

/** The report as text. */
export function renderShadowReport(report: ShadowReport): string[] {
  const { model, shadow, since, decisions, policies, disagreements, unlisted } = report;
  if (decisions === 0)
    return [
      `${model}: no decision of the last ${since} has the verdict of a shadow policy.`,
      shadow === null
        ? `It has no shadow policy: write one under models.${model}.shadow`
        : `Request a decision: npx retrigger decide --model ${model}`,
    ];
  return [
    `${model}: ${describeAgreement(report)}`,
    ...describePeriod(report),
    `Shadow: ${shadow ?? "none is in force now"}`,
    ...(policies.length > 1 ? policies.map(describeUse) : []),
    ...disagreements.flatMap((each) => ["", ...describeDisagreement(each)]),
    ...(unlisted > 0 ? ["", `${formatCount(unlisted)} older decisions that differ are not listed.`] : []),
    "",
    describeShadowLimits(model),
  ].flatMap((line) => wrapLine(toPlain(line)));
}

/** "92.8 % agreement: 4 of 56 decisions differ" */
export function describeAgreement({ agreement, decisions, agreed }: ShadowReport): string {
  const differing = decisions - agreed;
  return `${agreement} % agreement: ${differing === 0 ? "none" : formatCount(differing)} of ${formatQuantity(decisions, "decision")} ${differing === 1 ? "differs" : "differ"}`;
}

function describePeriod({ from, to, since, unjudged }: ShadowReport): string[] {
  if (from === null || to === null) return [];
  const isShort = Date.parse(to) - Date.parse(from) < toMs(since) - DAY_MS;
  return [
    `From ${formatInstant(from)} to ${formatInstant(to)}${isShort ? `; there is no more within the last ${since}` : ""}`,
    ...(unjudged > 0
      ? [
          `${formatQuantity(unjudged, "decision")} since then without a shadow's verdict: see their gather jobs`,
        ]
      : []),
  ];
}

const DAY_MS = 86_400_000;

function describeUse({ policyHash, decisions, agreed, from, to }: ShadowUse): string {
  return `  ${policyHash}: agreed on ${formatCount(agreed)} of ${formatQuantity(decisions, "decision")}, ${from.slice(0, 10)} to ${to.slice(0, 10)}`;
}

function describeDisagreement(disagreement: Disagreement): string[] {
  const { decided, shadow } = disagreement;
  return [
    describeSpell(disagreement),
    `  decided ${decided.decision}: ${decided.why ?? decided.reason}`,
    `  shadow  ${shadow.decision}: ${shadow.why ?? shadow.reason}`,
  ];
}

/** "#12 of 2026-11-02 06:00 UTC", "#12 to #31, 2026-11-02 to 2026-11-09: 12 decisions" */
function describeSpell({ count, firstId, lastId, from, to }: Disagreement): string {
  return count === 1
    ? `#${lastId} of ${formatInstant(to)}`
    : `#${firstId} to #${lastId}, ${formatInstant(from)} to ${formatInstant(to)}: ${formatQuantity(count, "decision")}`;
}
