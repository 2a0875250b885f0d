import { formatCount } from "../../core/format.ts";
import { DecisionLink } from "../parts/links.tsx";
import { DecisionTable, toFilter } from "./decisions.tsx";
import type { Page, View } from "./page.ts";
import { Breadcrumb } from "../parts/breadcrumb.tsx";

const MOST = 100;

/** The refused requests that a filter finds, before they are all sent again. */
export const retryPage: Page = {
  path: "/decisions/retry",
  role: "operator",
  requires: ["postgres"],
  async load({ query, now }, { database }) {
    const rows = await database.listDecisions({ ...toFilter(query), dispatch: "rejected", limit: MOST });
    return {
      title: "Retry refused requests",
      tone: rows.length === 0 ? "calm" : "act",
      body: (
        <>
          <Breadcrumb links={[["Decisions", "/decisions"]]} />
          <h1>Retry refused requests</h1>
          {rows.length === 0 ? (
            <p class="empty">
              No request that matches the filter was refused by its trainer. There is nothing to retry.
            </p>
          ) : (
            <>
              <p>
                {`${rows.length === MOST ? `The newest ${MOST}` : formatCount(rows.length)} ${rows.length === 1 ? "request was" : "requests were"} refused. Each is sent once more, unless a later decision about its model has requested a training since: such a request is skipped, and listed as skipped.`}
              </p>
              <form method="post" action="/decisions/retry" class="filter">
                <input type="hidden" name="ids" value={rows.map(({ id }) => id).join(",")} />
                <button class="main">
                  {rows.length === 1 ? "Retry it" : `Retry these ${formatCount(rows.length)}`}
                </button>
              </form>
              <DecisionTable rows={rows} now={now} />
            </>
          )}
        </>
      ),
    };
  },
};

/** What became of each. */
export function renderRetried(results: readonly { id: number; problem: string | null }[]): View {
  const sent = results.filter(({ problem }) => problem === null).length;
  return {
    title: "Retried",
    tone: sent === results.length ? "good" : "act",
    body: (
      <>
        <Breadcrumb links={[["Decisions", "/decisions"]]} />
        <h1>{`${formatCount(sent)} of ${formatCount(results.length)} ${results.length === 1 ? "request" : "requests"} sent again`}</h1>
        <ul>
          {results.map(({ id, problem }) => (
            <li>
              <DecisionLink id={id} />: {problem ?? "is being sent again"}
            </li>
          ))}
        </ul>
      </>
    ),
  };
}
