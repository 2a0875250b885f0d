import { type Exchange, refuse, send } from "./exchange.ts";
import type { FakeRun, FakeState } from "./fake-state.ts";
import { type DISPATCH_RESPONSES, REFUSALS } from "./refusals.ts";
import { pageUrl, runUrl } from "./workflow-runs.ts";

let lastId = 30_433_642;

/** Responds to a request for a workflow run as the test has decided. */
export function respondToDispatch(fake: FakeState, { called, response, reply }: Exchange): void {
  const { ref, inputs = {}, ...unknown } = called.body as { ref: string; inputs?: Record<string, unknown> };
  const isText = Object.values(inputs).every((value) => typeof value === "string");
  if (!isText) fake.faults.push("an input is not a string");
  const version = called.headers["x-github-api-version"];
  if (fake.isOldServer && (version !== "2022-11-28" || Object.keys(unknown).length > 0))
    return refuse(response, null, { status: 400, message: `"${version}" is not a supported API version.` });
  const outcome = fake.next.shift() ?? (fake.isOldServer ? "204" : "accept");
  if (outcome in REFUSALS) return refuse(response, called, REFUSALS[outcome as keyof typeof REFUSALS]);
  const start = (): FakeRun => {
    const now = Date.now();
    lastId += 1;
    const run = { id: lastId, name: `Retrain ${String(inputs["decision_id"])}`, inputs, createdAt: now };
    fake.runs.push({ ...run, attempt: 1, attemptAt: now, course: { ...fake.course } });
    return fake.runs.at(-1) as FakeRun;
  };
  if (ref === "nowhere") return refuse(response, null, REFUSALS["422 ref"]);
  switch (outcome as (typeof DISPATCH_RESPONSES)[number]) {
    case "accept":
    case "double": {
      const run = start();
      if (outcome === "double") start();
      const [run_url, html_url] = [runUrl(called, run.id), pageUrl(run.id)];
      return reply(200, { workflow_run_id: run.id, run_url, html_url });
    }
    case "double, naming the newer": {
      start();
      // The newer run ends at once, like the first step of the example workflow.
      const { id, course } = start();
      Object.assign(course, { queuedMs: 0, runningMs: 0, conclusion: "success" });
      return reply(200, { workflow_run_id: id, run_url: runUrl(called, id), html_url: pageUrl(id) });
    }
    case "204":
      start();
      return reply(204, null);
    case "accept and drop":
      start();
      response.destroy();
      return;
    case "double and drop":
      start();
      start();
      response.destroy();
      return;
    case "accept and hang":
      start();
      return;
    case "accept and 502":
      start();
      return send(response, 502, { message: "Server Error" });
    case "drop":
      response.destroy();
      return;
    case "500":
      return send(response, 500, { message: "Server Error" });
    default:
      throw new Error(`Unknown response: ${outcome}`);
  }
}
