import { Client } from "pg";

/** A database whose clock can be set back, for some of its connections. */
export interface Past {
  /** Connections to this URL take the simulated time for the present. */
  databaseUrl: string;
  /** The simulated time, in Unix milliseconds. */
  now(): number;
  moveTo(at: number): Promise<void>;
  /** Removes the simulation. What was written stays. */
  close(): Promise<void>;
}

const SCHEMA = "retrigger_past";

/**
 * Opens the past of a migrated database. Postgres looks functions up along the search path, on which its own can stand last: so
 * `now()` in any statement is the simulated time. Column defaults were resolved when the tables were created; triggers
 * replace what they give. All of that is in one schema, and goes with it.
 *
 * @param ownSchema That of our tables.
 */
export async function openPast(databaseUrl: string, ownSchema = "public"): Promise<Past> {
  const url = new URL(databaseUrl);
  // Should the history be lost in a crash, so is its database: commits need not wait for the disk.
  url.searchParams.set("options", `-c search_path=${SCHEMA},public,pg_catalog -c synchronous_commit=off`);
  const client = new Client(url.href);
  await client.connect();
  await client.query(buildSimulation(ownSchema));
  let now = Date.now();
  return {
    databaseUrl: url.href,
    now: () => now,
    async moveTo(at) {
      now = at;
      await client.query(`UPDATE ${SCHEMA}.clock SET at = $1`, [new Date(at)]);
    },
    async close() {
      await client.query(`DROP SCHEMA ${SCHEMA} CASCADE`);
      await client.end();
    },
  };
}

const buildSimulation = (ownSchema: string): string => `
CREATE SCHEMA ${SCHEMA};
CREATE TABLE ${SCHEMA}.clock (at TIMESTAMPTZ NOT NULL);
INSERT INTO ${SCHEMA}.clock VALUES (pg_catalog.now());
CREATE FUNCTION ${SCHEMA}.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT at FROM ${SCHEMA}.clock';
CREATE FUNCTION ${SCHEMA}.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT at FROM ${SCHEMA}.clock';

-- The arguments name the columns whose default is now().
CREATE FUNCTION ${SCHEMA}.set_dates() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  dates jsonb;
BEGIN
  SELECT jsonb_object_agg(name, ${SCHEMA}.now()) INTO dates FROM unnest(TG_ARGV) AS name
  WHERE (to_jsonb(NEW) ->> name)::timestamptz = pg_catalog.now();
  RETURN jsonb_populate_record(NEW, COALESCE(dates, '{}'));
END $$;

DO $$
DECLARE
  dated record;
BEGIN
  FOR dated IN
    SELECT table_name, string_agg(quote_literal(column_name), ', ') AS columns FROM information_schema.columns
    WHERE table_schema = '${ownSchema}' AND column_default IN ('now()', 'pg_catalog.now()') GROUP BY table_name
  LOOP
    EXECUTE format('CREATE TRIGGER ${SCHEMA}_dates BEFORE INSERT ON ${ownSchema}.%I FOR EACH ROW EXECUTE FUNCTION ${SCHEMA}.set_dates(%s)',
      dated.table_name, dated.columns);
  END LOOP;
END $$;`;
