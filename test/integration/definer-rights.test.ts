import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addCheck, addRatings, createWorld, failureOf, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
  await addCheck(world);
  await addRatings(world, 10);
  await world.sql("INSERT INTO retraining_decisions (decision, reason) VALUES ('trigger', 'drift_detected')");
  await world.sql(
    `INSERT INTO retraining_dispatches (decision_id, trainer, state, request) SELECT id, 'github', 'pending', '{}' FROM retraining_decisions`,
  );
});
afterAll(() => world.close());

it("no function with the rights of its owner runs what a writer of ours put in its way", async () => {
  const role = await createRole("writer");
  await world.sql(`GRANT SELECT, INSERT, UPDATE ON retraining_dispatches, retraining_decisions TO ${role}`);
  await world.sql(`GRANT USAGE ON SEQUENCE retraining_decisions_id_seq TO ${role}`);
  const client = new pg.Client(world.config.databaseUrl);
  await client.connect();
  const notices: string[] = [];
  client.on("notice", ({ message }) => notices.push(message ?? ""));
  try {
    await client.query(`SET ROLE ${role}`);
    for (const table of [
      "retraining_dispatch_steps",
      "retraining_dispatch_counts",
      "retraining_decision_reasons",
    ])
      await client
        .query(
          `
        CREATE TEMP TABLE ${table} (LIKE public.${table});
        GRANT ALL ON ${table} TO PUBLIC;
        CREATE FUNCTION pg_temp.spy_${table}() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE NOTICE 'ran as %', current_user; RETURN NEW; END $$;
        CREATE TRIGGER spy BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION pg_temp.spy_${table}();`,
        )
        // A role that may not even read ours cannot copy it.
        .catch(() => client.query(`CREATE TEMP TABLE ${table} (decision_id INT, code TEXT, state TEXT)`));
    await client.query("UPDATE public.retraining_dispatches SET state = 'running', error = 'x'");
    await client.query(
      "INSERT INTO public.retraining_decisions (decision, reason, reason_codes) VALUES ('no_action', 'cooldown', ARRAY['cooldown'])",
    );
  } finally {
    await client.end();
  }
  expect(notices).toEqual([]);
  expect(await world.sql("SELECT state, is_request, error FROM retraining_dispatch_steps")).toEqual([
    { state: "running", is_request: false, error: "x" },
  ]);
  expect(
    await world.sql("SELECT code FROM retraining_decision_reasons WHERE code = 'cooldown'"),
  ).toHaveLength(1);
  expect(await world.sql("SELECT state, count FROM retraining_dispatch_counts WHERE count > 0")).toEqual([
    { state: "running", count: "1" },
  ]);
  await dropRole(role);
});

it("nor what somebody put into the schema of ours", async () => {
  const role = await createRole("neighbour");
  await world.sql(
    `GRANT CREATE ON SCHEMA public TO ${role}; GRANT SELECT ON retraining_buffer_counters TO ${role}`,
  );
  const client = new pg.Client(world.config.databaseUrl);
  await client.connect();
  try {
    await client.query(`SET ROLE ${role};
      CREATE FUNCTION public.unnest(a TEXT[]) RETURNS SETOF TEXT LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
      CREATE FUNCTION public.get(a JSONB, b JSONB) RETURNS JSONB LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
      CREATE OPERATOR public.-> (LEFTARG = JSONB, RIGHTARG = JSONB, FUNCTION = public.get)`);
    await world.sql(
      "INSERT INTO retraining_decisions (decision, reason, reason_codes) VALUES ('no_action', 'cooldown', ARRAY['neighbour'])",
    );
    await world.sql(
      "INSERT INTO retraining_buffer_counters (table_oid, table_name, shape, filled_at) VALUES (1, 'gone', '{}', now())",
    );
    expect(
      await world.sql(
        "SELECT retrigger_counter_problem(counter) AS problem FROM retraining_buffer_counters AS counter",
      ),
    ).toEqual([{ problem: "partitions" }]);
    expect(await world.sql("SELECT FROM retraining_decision_reasons WHERE code = 'neighbour'")).toHaveLength(
      1,
    );
  } finally {
    await world.sql("DELETE FROM retraining_buffer_counters");
    await client.end();
    await dropRole(role);
  }
});

it("nobody else attaches or calls a function with the rights of its owner", async () => {
  const role = await createRole("stranger");
  const functions = await world.sql<{ name: string }>(
    "SELECT proname AS name FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1",
  );
  expect(functions.map(({ name }) => name)).toEqual([
    "retrigger_count_dispatch",
    "retrigger_define_counter",
    "retrigger_drop_counter",
    "retrigger_keep_step",
    "retrigger_list_reasons",
  ]);
  const client = new pg.Client(world.config.databaseUrl);
  await client.connect();
  try {
    await client.query(`SET ROLE ${role}`);
    await client.query("CREATE TEMP TABLE mine (id INT, reason TEXT, reason_codes TEXT[])");
    for (const call of [
      "retrigger_drop_counter(1)",
      "retrigger_define_counter(1, NULL, NULL, NULL, NULL, false, '')",
    ])
      expect(await failureOf(client.query(`SELECT public.${call}`))).toContain("permission denied");
    for (const { name } of functions.filter((each) => !each.name.endsWith("_counter")))
      expect(
        await failureOf(
          client.query(
            `CREATE TRIGGER forged AFTER DELETE ON mine FOR EACH ROW EXECUTE FUNCTION public.${name}()`,
          ),
        ),
      ).toBe(`permission denied for function public.${name}`);
  } finally {
    await client.end();
  }
  await dropRole(role);
});

/** A role of this database alone: roles are shared by all databases of a server. */
async function createRole(name: string): Promise<string> {
  const role = `${name}_${world.config.redisPrefix.replaceAll(/[{}]/g, "")}`;
  await world.sql(`CREATE ROLE ${role}`);
  return role;
}

const dropRole = (role: string) => world.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
