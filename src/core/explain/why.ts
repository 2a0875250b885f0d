import type { CheckResult, Criterion } from "../check.ts";
import { CRITERIA } from "../criteria/registry.ts";
import type { DriftCheck, Evidence } from "../evidence.ts";
import { type Judged, listFailures, matchCriteria } from "../failures.ts";
import { formatRatio, toPlain } from "../format.ts";
import type { Judgement } from "../judge.ts";
import type { Policy } from "../policy.ts";
import { joinTexts } from "./join-texts.ts";

/** Why the verdict is what it is, in a few words: the checks that failed, or what called for the training. */
export function describeWhy(evidence: Evidence, policy: Policy, judgement: Judgement): string {
  const judged = { evidence, policy, verdict: judgement };
  if (judgement.decision === "trigger") return joinTexts(describeFound(judged));
  const failures = listFailures(judged);
  const briefs = [...new Set(failures.map(({ check, failure }) => check.brief(failure as never)))].join("; ");
  const isSaid = failures.some(({ check }) => check.namesCause === true);
  const found = judgement.condition.passed && !isSaid ? describeFound(judged) : [];
  return found.length === 0 ? briefs : `${briefs}, despite ${joinTexts(found)}`;
}

/** What called for a training. */
function describeFound(judged: Judged & { verdict: Judgement }): string[] {
  const { evidence, verdict } = judged;
  const [newest] = evidence.checks.newestTriggered;
  const passed = matchCriteria(judged).flatMap((own) => {
    const criterion = CRITERIA.find(({ id }) => id === own.check.id);
    return criterion && own.result.passed ? [{ ...own, criterion }] : [];
  });
  const isDrift = newest !== undefined && passed.some(({ criterion }) => criterion.isDrift);
  const others = passed.flatMap(({ criterion, result, settings }) =>
    isDrift && criterion.isDrift
      ? []
      : describePassed(criterion, result, { evidence, settings: settings as never }),
  );
  const forced =
    verdict.forced === null
      ? []
      : [`forced by ${toPlain(verdict.forced.by)} (${toPlain(verdict.forced.reason)})`];
  return [...forced, ...(isDrift ? [describeDrift(newest)] : []), ...others];
}

function describeDrift({ feature, score, threshold }: DriftCheck): string {
  const figures = [
    ...(score === null ? [] : [formatRatio(score)]),
    ...(threshold === null ? [] : [`threshold ${formatRatio(threshold)}`]),
  ];
  return `drift in ${toPlain(feature ?? "a feature")}${figures.length === 0 ? "" : ` (${figures.join(", ")})`}`;
}

function describePassed(
  criterion: Criterion,
  result: CheckResult,
  context: { evidence: Evidence; settings: never },
): string[] {
  const text = criterion.found?.(result, context) ?? criterion.summarize?.(result, context);
  return text === undefined ? [] : [text.charAt(0).toLowerCase() + text.slice(1)];
}
