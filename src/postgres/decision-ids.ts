import type pg from "pg";
import { PermanentError } from "../core/errors.ts";
import { nameOwnTable, ownSchemaOf } from "./own-schema.ts";

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
  const table = nameOwnTable(ownSchemaOf(pool), "retraining_decisions");
  const { rows } = await pool.query<{ sequence: string | null; cached: number }>(FIND_SEQUENCE, [table]);
  const { sequence = null, cached = 1 } = rows[0] ?? {};
  if (sequence === null) throw noSequence(pool, "its default uses none");
  if (cached > 1)
    throw new PermanentError(
      "NO_SEQUENCE",
      `${sequence} caches ${cached} values per connection, so the newest decision might not have the highest id. Run: ALTER SEQUENCE ${sequence} CACHE 1`,
    );
  return sequence;
}

export function noSequence(pool: pg.Pool, why: string): PermanentError {
  const schema = ownSchemaOf(pool);
  const table = nameOwnTable(schema, "retraining_decisions");
  const sequence = schema === null ? "retrigger_decision_ids" : `${schema}.retrigger_decision_ids`;
  return new PermanentError(
    "NO_SEQUENCE",
    `retraining_decisions.id does not take its values from a sequence (${why}), so the newest decision might not have the highest id. Create one: CREATE SEQUENCE ${sequence} OWNED BY ${table}.id; SELECT setval('${sequence}', max(id)) FROM ${table}; ALTER TABLE ${table} ALTER COLUMN id SET DEFAULT nextval('${sequence}')`,
  );
}

// $1 the table of decisions.
const FIND_SEQUENCE = `
SELECT sequence, (SELECT seqcache::integer FROM pg_sequence WHERE seqrelid = sequence::regclass) AS cached
FROM (SELECT COALESCE(pg_get_serial_sequence($1::text, 'id'), (
  SELECT dependency.refobjid::regclass::text
  FROM pg_attrdef AS def
  JOIN pg_attribute AS attribute ON attribute.attrelid = def.adrelid AND attribute.attnum = def.adnum
  JOIN pg_depend AS dependency ON dependency.classid = 'pg_attrdef'::regclass AND dependency.objid = def.oid
  JOIN pg_class AS sequence ON sequence.oid = dependency.refobjid AND sequence.relkind = 'S'
  WHERE def.adrelid = $1::text::regclass AND attribute.attname = 'id' LIMIT 1)) AS sequence) AS found`;
