import { renderAction } from "./action.ts";
import { renderCriteria } from "./criteria.ts";
import { renderFindings } from "./findings.ts";
import type { ReportInput } from "./input.ts";
import { renderSummary } from "./summary.ts";

/**
 * The decision report, section by section as the guide prints it: drift checks, buffer, criteria, action, summary.
 * Plain text without colours. The guide's lines keep their width.
 */
export function renderReport(input: ReportInput): string {
  return [renderFindings(input), renderCriteria(input), renderAction(input), renderSummary(input)].join(
    "\n\n",
  );
}
