import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Verification } from "../../../src/core/verification/verification.ts";
import { sendRaw } from "../../support/http.ts";
import { addCheckOf, createPolicyWorld, type PolicyWorld } from "../../support/policies.ts";
import { until } from "../../support/world.ts";

let world: PolicyWorld;
let address: string;
let id: number;
beforeAll(async () => {
  world = await createPolicyWorld({ films: { policy: { when: { driftAlerts: 1 } } } });
  address = (await world.startApp({ role: "all" })).address() ?? "";
  await world.decide({ model: "films" });
  await addCheckOf(world, "films");
  ({ decisionId: id } = (await world.decide({ model: "films" })) as { decisionId: number });
});
afterAll(() => world.close());

const get = (path: string) => sendRaw(address, "GET", path, { host: new URL(address).host });
const tamper = (reason: string) =>
  world.sql("UPDATE retraining_decisions SET reason = $2 WHERE id = $1", [id, reason]);

describe("the verification of a service's own decisions", () => {
  it("is the same through the API, the command and the pages, before and after a row was changed", async () => {
    expect((await get("/api/v1/verification")).json).toMatchObject({ decisions: 2, faults: [] });
    expect((await get(`/api/v1/decisions/${id}/verification`)).json).toMatchObject({
      compared: "all",
      faults: [],
    });
    expect((await get(`/decisions/${id}`)).text).toContain("Verified: hash, chain and verdict");
    expect(await world.run("verify", "--all")).toEqual({
      stdout: "Verified 2 decisions of 1 model: no faults",
      failure: null,
    });
    const { stdout: heads } = await world.run("verify", "--anchor");
    expect(JSON.parse(heads)).toMatchObject({ model: "films", decisionId: id });

    await tamper("max_age");
    const text = `#${id} was changed: reason is "max_age", but its evidence and policy give "drift_detected"`;
    const { json } = await get("/api/v1/verification?model=films");
    expect((json as Verification).faults.map((fault) => fault.text)).toEqual([text]);
    const local = await world.run("verify", String(id));
    expect(local.stdout.replaceAll("\n  ", " ")).toBe(`films: ${text}`);
    expect(local.failure).toBe("exit code 1");
    expect(await world.runWith({ RETRIGGER_URL: address }, "verify", String(id))).toEqual(local);
    expect((await get(`/decisions/${id}`)).text).toContain("was changed: reason is");
    await tamper("drift_detected");
  });

  it("is started from its page, and shown there", async () => {
    expect((await get("/verification?run=model&model=films")).status).toBe(303);
    const page = await until("the result is shown", async () => {
      const { text } = await get("/verification");
      return text.includes("Verified 2 decisions of 1 model: no faults") ? text : null;
    });
    expect(page).toContain("Verify every decision");
  });

  it.each([3_000, 5_000])(
    "shows a decision with columns nested %i deep, beside the others",
    async (depth) => {
      const list = `('${"[".repeat(depth)}' || '${"]".repeat(depth)}')::jsonb`;
      const policy = `('${'{"all":['.repeat(depth)}1${"]}".repeat(depth)}')::jsonb`;
      for (const [column, value, fault] of [
        [
          "policy",
          `jsonb_build_object('when', ${policy}, 'guards', '{}'::jsonb)`,
          "its policy cannot be read",
        ],
        ["evidence", `jsonb_set(evidence, '{alerts}', ${list})`, "was changed"],
        ["explanation", list, "was changed"],
        ["criteria", list, "was changed"],
        ["shadow", list, "was changed"],
        ["forced", list, "was changed"],
      ] as const) {
        await world.sql("DROP TABLE IF EXISTS kept");
        await world.sql("CREATE TABLE kept AS SELECT * FROM retraining_decisions");
        await world.sql("UPDATE retraining_decisions SET notes = 'another' WHERE id < $1", [id]);
        await world.sql(`UPDATE retraining_decisions SET ${column} = ${value} WHERE id = $1`, [id]);
        const { status, json } = await get("/api/v1/verification");
        expect([column, status]).toEqual([column, 200]);
        const { faults } = json as Verification;
        expect(faults.map(({ decisionId }) => decisionId)).toEqual(expect.arrayContaining([id - 1, id]));
        expect(faults.find(({ decisionId }) => decisionId === id)?.text).toContain(fault);
        expect((await get(`/api/v1/decisions/${id}/verification`)).status).toBe(200);
        const page = await get(`/decisions/${id}`);
        expect([column, page.status]).toEqual([column, 200]);
        expect(page.text).toContain("was changed");
        expect((await get("/models/films")).status).toBe(200);
        const decision = await get(`/api/v1/decisions/${id}`);
        expect([column, decision.status]).toEqual([column, 200]);
        expect(decision.json).toMatchObject({ id, model: "films" });
        await world.sql(
          `UPDATE retraining_decisions AS decision SET (notes, ${column}) = (SELECT notes, ${column} FROM kept WHERE id = decision.id)`,
        );
        await world.sql("DROP TABLE kept");
      }
    },
  );

  it("names what is asked for in vain", async () => {
    expect((await get("/api/v1/decisions/999/verification")).status).toBe(404);
    expect((await get("/api/v1/verification?model=nobody")).json).toMatchObject({ code: "UNKNOWN_MODEL" });
    expect((await world.run("verify")).failure).toContain("Name one of");
    expect((await world.run("verify", "x")).failure).toContain("Must be the number of a decision");
    expect((await world.run("verify", "--anchors", "no-such-file")).failure).toContain(
      "Cannot read --anchors no-such-file",
    );
  });
});
