import { ACTIONS } from "./actions/actions.ts";
import { OPERATIONS } from "./api/operations.ts";

const OF_DECISIONS = [
  ...ACTIONS.map(({ path }) => path),
  ...OPERATIONS.filter(({ method }) => method !== "GET").map(
    ({ path }) => `/api/v1${path.replace("{id}", ":id")}`,
  ),
].filter((path) => path.includes("/decisions/:id/"));

/** The names under which the audit knows what was done about a decision: on pages, by the API, at the command line. */
export function listAuditTargets(decisionId: number): string[] {
  return [`decision ${decisionId}`, ...OF_DECISIONS.map((path) => path.replace(":id", String(decisionId)))];
}
