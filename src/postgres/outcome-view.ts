import type pg from "pg";
import { messageOf, SourceError } from "../core/errors.ts";
import { REQUIRED_VIEW_COLUMNS, VIEW_COLUMNS, type ViewRow } from "../core/outcome/view-row.ts";
import { databaseAddress, hasCode, READ_ONLY } from "./explain-error.ts";
import { queryWithin } from "./inspection/limited.ts";
import { createColumnCache, quoteName, quoteTable, type TableColumns } from "./source-columns.ts";

const LIMIT_MS = 10_000;
/** A view should list recent trainings only. */
const MAX_ROWS = 10_000;

/** Reads views that say what trainings brought. */
export function createOutcomeViews({ pool, databaseUrl }: { pool: pg.Pool; databaseUrl: string }) {
  const address = databaseAddress(databaseUrl);
  return {
    /** What is wrong with a view, without reading its rows; null if nothing is. */
    findOutcomeViewFault: async (view: string): Promise<Omit<ViewFault, "code"> | null> =>
      findFault(await createColumnCache(pool).find(view), view, address),

    /**
     * The rows of a view, as text.
     *
     * @param place Where the settings name it.
     * @throws SourceError that names every missing or unreadable column, or says that there is no such view.
     */
    async readOutcomeView(view: string, place: string): Promise<ViewRow[]> {
      // It may have been replaced since.
      const found = await createColumnCache(pool).find(view);
      const columns = VIEW_COLUMNS.filter((name) => found?.has(name));
      const fault = findFault(found, view, address);
      if (fault !== null) throw new SourceError(fault.code, `${place}: ${fault.text}. ${fault.remedy}`);
      const list = columns.map((name) => `${quoteName(name)}::text AS ${quoteName(name)}`).join(", ");
      const text = `SELECT ${list} FROM ${quoteTable(view)} AS outcome LIMIT ${MAX_ROWS + 1}`;
      // What a view calls may write, with the rights of this user.
      const rows = await queryWithin<ViewRow>(pool, LIMIT_MS, text).catch((error: unknown) => {
        if (!hasCode(error, [READ_ONLY])) throw error;
        const what = `${place}: reading ${view} in ${address} would write`;
        throw new SourceError("SOURCE_DATA", `${what}: ${messageOf(error)}. Let the view only read`, {
          cause: error,
        });
      });
      if (rows.length > MAX_ROWS)
        throw new SourceError(
          "SOURCE_DATA",
          `${place}: ${view} in ${address} has more than ${MAX_ROWS} rows. Restrict it to recent trainings`,
        );
      return rows;
    },
  };
}

interface ViewFault {
  code: string;
  /** What is wrong, in which database. */
  text: string;
  remedy: string;
}

function findFault(found: TableColumns | null, view: string, address: string): ViewFault | null {
  const fault = (code: string, what: string, remedy: string): ViewFault => ({
    code,
    text: `${what} in ${address}`,
    remedy,
  });
  if (found === null)
    return fault("MISSING_TABLE", `the view ${view} does not exist`, "Create it: see docs/trust-outcomes.md");
  const names = [...found.keys()];
  const missing: string[] = REQUIRED_VIEW_COLUMNS.filter((name) => !names.includes(name));
  if (!names.includes("decision_id") && !names.includes("run_id")) missing.unshift("decision_id (or run_id)");
  if (missing.length > 0)
    return fault("MISSING_COLUMN", `${view} has no column ${missing.join(", ")}`, "Add it to the view");
  const hidden = VIEW_COLUMNS.filter((name) => found.get(name)?.isReadable === false);
  if (hidden.length === 0) return null;
  return fault(
    "NO_PRIVILEGE",
    `this user may not read ${hidden.join(", ")} of ${view}`,
    `Run as its owner: GRANT SELECT ON ${view} TO this user`,
  );
}
