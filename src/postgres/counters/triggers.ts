import type { CountableTable } from "./inspect.ts";

/** What is counted, and what the transition tables of its trigger are called in `retrigger_define_counter`. */
const EVENTS = {
  INSERT: "REFERENCING NEW TABLE AS new_rows",
  UPDATE: "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
  DELETE: "REFERENCING OLD TABLE AS old_rows",
  TRUNCATE: "",
} as const;

/**
 * The statements that create the triggers of a counter. A statement's triggers run for the table that the statement names, and
 * only there; so each partition has its own, and no row is counted twice. ALWAYS: also for a session that replicates.
 */
export function createTriggers(counter: number, { table, partitions }: CountableTable): string[] {
  return [table, ...partitions].flatMap((each) =>
    Object.entries(EVENTS).flatMap(([event, referencing]) => {
      const name = `retrigger_counter_${counter}_${event.toLowerCase()}`;
      return [
        `CREATE TRIGGER ${name} AFTER ${event} ON ${each} ${referencing}
  FOR EACH STATEMENT EXECUTE FUNCTION retrigger_count_${counter}()`,
        `ALTER TABLE ${each} ENABLE ALWAYS TRIGGER ${name}`,
      ];
    }),
  );
}

/** The triggers of a counter, wherever they are now, as statements that remove them. */
export const SELECT_REMOVALS = `
SELECT format('DROP TRIGGER %I ON %I.%I', tgname, nspname, relname) AS text, format('%I.%I', nspname, relname) AS table
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE tgfoid = to_regprocedure('retrigger_count_' || $1 || '()')
ORDER BY EXISTS (SELECT FROM pg_inherits WHERE inhrelid = tgrelid), tgrelid`;
