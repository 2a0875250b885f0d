import { describeFinding, type Finding } from "../../core/finding.ts";
import { FEW_MODELS, summarize } from "./summarize.ts";

const ICONS = { ok: "✅", warning: "⚠️ ", fault: "❌" } as const;

/** Begins the line of a remedy. */
export const REMEDY = "   → ";

/** The lines of a diagnosis: every finding, or with many models what is wrong, on a page. */
export function renderFindings(
  findings: readonly Finding[],
  { models, showsAll }: { models: number; showsAll: boolean },
): string[] {
  const shown = showsAll || models <= FEW_MODELS ? findings : summarize(findings, models);
  return shown.flatMap((finding) => [
    `${ICONS[finding.level]} ${describeFinding(finding)}`,
    ...(finding.remedy === undefined ? [] : [`${REMEDY}${finding.remedy}`]),
  ]);
}
