import { renderToString } from "preact-render-to-string";
import type { VNode } from "preact";
import { describe, expect, it } from "vitest";
import { PermanentError, ServerAwayError, TransientError } from "../../src/core/errors.ts";
import { decisionActions } from "../../src/http/actions/decision-actions.ts";
import type { Action, View } from "../../src/http/pages/page.ts";

const retry = decisionActions.find(({ path }) => path === "/decisions/retry");

/** What the page says about each decision, of which the reading of some fails. */
async function retryTogether(failures: Readonly<Record<number, Error>>) {
  const tried: string[] = [];
  const logged: unknown[] = [];
  const database = {
    beginAudit: () => Promise.resolve(1),
    finishAudit: () => Promise.resolve(),
    findDispatch(id: string) {
      tried.push(id);
      return Promise.reject(failures[Number(id)] ?? new Error("unexpected"));
    },
  };
  const call = { fields: { ids: Object.keys(failures).join(",") }, caller: { name: "Ada" } };
  const redact = (text: string) => text.replaceAll("s3cr3t", "[hidden]");
  const dependencies = { database, redact, log: { warn: (...given: unknown[]) => logged.push(given) } };
  const view = await (retry as unknown as { run(...given: unknown[]): ReturnType<Action["run"]> }).run(
    call,
    dependencies,
  );
  const html = renderToString((view as View).body as VNode);
  const lines = [...html.matchAll(/<li>(.*?)<\/li>/gs)].map(([, line = ""]) =>
    line.replaceAll(/<[^>]+>/g, ""),
  );
  return { lines, tried, logged };
}

const REFUSED = new PermanentError("REFUSED", "The dispatch is sent, not rejected: s3cr3t");

describe("refused requests that are retried together", () => {
  it("end with the first that may or may not have been sent, and the rest is not tried", async () => {
    for (const error of [
      new TransientError("POSTGRES", "canceling statement in 10.0.0.1"),
      new ServerAwayError("POSTGRES_AWAY", "Cannot reach Postgres at 10.0.0.1"),
    ]) {
      const { lines, tried } = await retryTogether({ 1: REFUSED, 2: error, 3: REFUSED, 4: REFUSED });
      expect(tried).toEqual(["1", "2"]);
      expect(lines).toEqual([
        "#1: The dispatch is sent, not rejected: [hidden]",
        expect.stringMatching(/^#2: may have been sent or not\. .+Send it again later$/) as string,
        "#3: was not tried",
        "#4: was not tried",
      ]);
      expect(lines.join()).not.toContain("10.0.0.1");
    }
  });

  it("go on after a fault of our own, which is logged and not shown", async () => {
    const fault = new PermanentError("MISSING_TABLE", "Missing table in 10.0.0.1");
    const { lines, logged } = await retryTogether({ 1: fault, 2: REFUSED });
    expect(lines).toEqual([
      "#1: The request failed. The service's log says why",
      "#2: The dispatch is sent, not rejected: [hidden]",
    ]);
    expect(logged).toEqual([[{ err: fault, decisionId: 1 }, "request failed"]]);
  });
});
