import { z } from "zod";

/** Why the counter of a table is not used, as the database says. */
export const CounterProblem = z.enum(["filling", "partitions", "columns", "triggers", "table", "lost"]);
export type CounterProblem = z.infer<typeof CounterProblem>;

/** How the rows of a buffer were counted. */
export const Counted = z.object({
  /** `counter`: from what triggers of the table had added up; `query`: the rows themselves. */
  by: z.enum(["counter", "query"]),
  /** Why the table's counter was not used; null if it was, or if there is none. */
  problem: CounterProblem.nullable().default(null),
  /** How much newer the count is than the rest of the evidence, because models shared it, in milliseconds; null if they did not. */
  lagMs: z.number().nonnegative().nullable().default(null),
});
export type Counted = z.infer<typeof Counted>;

/** The command that makes a counter sound again. */
export const REPAIR_COUNTER = "npx retrigger counters install";

/** The command that removes what is left of tables that were dropped and of columns that no model counts any more. */
export const REMOVE_UNUSED = "npx retrigger counters remove --unused";

/** Why a counter is not sound, as a clause, and what to do about it. */
export const COUNTER_PROBLEMS: Readonly<Record<CounterProblem, { cause: string; remedy: string }>> = {
  filling: {
    cause: "its rows have not been counted once yet",
    remedy: `Wait for its first count; if that was interrupted: ${REPAIR_COUNTER}`,
  },
  partitions: { cause: "a partition was added or removed", remedy: REPAIR_COUNTER },
  columns: { cause: "a counted column was changed", remedy: `${REPAIR_COUNTER}, then ${REMOVE_UNUSED}` },
  triggers: { cause: "a trigger of the counter was disabled, changed or removed", remedy: REPAIR_COUNTER },
  table: {
    cause:
      "the table became one that cannot be counted: a partition, unlogged, with row-level security, or replicated",
    remedy: `Undo that, then: ${REPAIR_COUNTER}`,
  },
  lost: {
    cause: "a change could not be counted, such as a TRUNCATE of one partition",
    remedy: "None needed: the service recounts the table after the next decision that reads it",
  },
};

/** What people should know about how the buffer was counted; null if it was counted row by row, as usual. */
export function describeCounted(counted: Counted | null): string | null {
  if (counted === null) return null;
  if (counted.by === "counter") return "Counted by the table's counter";
  if (counted.problem !== null)
    return `Counted row by row, because the table's counter is not sound: ${COUNTER_PROBLEMS[counted.problem].cause}. See: npx retrigger counters status`;
  if (counted.lagMs !== null)
    return `Counted once for several models, ${Math.round(counted.lagMs)} ms after the rest was read`;
  return null;
}
