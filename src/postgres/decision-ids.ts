import type pg from "pg";
import { PermanentError } from "../core/errors.ts";

/** The sequence that `retraining_decisions.id` takes its values from; it gives the newest decision the highest id. */
export interface DecisionIds {
  /**
   * The name of the sequence: the table's own, or the one that its default names. It is cached until `forget` is called.
   * @throws PermanentError NO_SEQUENCE if there is none, or if it does not assign ids in order.
   */
  findSequence(): Promise<string>;
  isCached(): boolean;
  forget(): void;
  /** Moves the sequence past rows that were written with explicit ids (a restored dump). */
  repair(): Promise<void>;
}

export function createDecisionIds(pool: pg.Pool): DecisionIds {
  let cached: string | null = null;
  const ids: DecisionIds = {
    async findSequence() {
      return (cached ??= await querySequence(pool));
    },
    isCached: () => cached !== null,
    forget() {
      cached = null;
    },
    async repair() {
      await pool.query(
        `SELECT setval($1::regclass, highest) FROM (SELECT max(id) AS highest FROM retraining_decisions) AS ids
     WHERE highest > COALESCE(pg_sequence_last_value($1::regclass), 0)`,
        [await ids.findSequence()],
      );
    },
  };
  return ids;
}

async function querySequence(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ sequence: string | null; cached: number }>(FIND_SEQUENCE);
  const { sequence = null, cached = 1 } = rows[0] ?? {};
  if (sequence === null) throw noSequence("its default uses none");
  if (cached > 1)
    throw new PermanentError(
      "NO_SEQUENCE",
      `${sequence} caches ${cached} values per connection, so the newest decision might not have the highest id. Run: ALTER SEQUENCE ${sequence} CACHE 1`,
    );
  return sequence;
}

export function noSequence(why: string): PermanentError {
  return new PermanentError(
    "NO_SEQUENCE",
    `retraining_decisions.id does not take its values from a sequence (${why}), so the newest decision might not have the highest id. Create one: CREATE SEQUENCE retrigger_decision_ids OWNED BY retraining_decisions.id; SELECT setval('retrigger_decision_ids', max(id)) FROM retraining_decisions; ALTER TABLE retraining_decisions ALTER COLUMN id SET DEFAULT nextval('retrigger_decision_ids')`,
  );
}

const FIND_SEQUENCE = `
SELECT sequence, (SELECT seqcache::integer FROM pg_sequence WHERE seqrelid = sequence::regclass) AS cached
FROM (SELECT COALESCE(pg_get_serial_sequence('retraining_decisions', 'id'), (
  SELECT dependency.refobjid::regclass::text
  FROM pg_attrdef AS def
  JOIN pg_attribute AS attribute ON attribute.attrelid = def.adrelid AND attribute.attnum = def.adnum
  JOIN pg_depend AS dependency ON dependency.classid = 'pg_attrdef'::regclass AND dependency.objid = def.oid
  JOIN pg_class AS sequence ON sequence.oid = dependency.refobjid AND sequence.relkind = 'S'
  WHERE def.adrelid = 'retraining_decisions'::regclass AND attribute.attname = 'id' LIMIT 1)) AS sequence) AS found`;
