import { z } from "zod";
import { ModelName } from "../../../queues/jobs.ts";
import type { Tone } from "../../core/standing.ts";
import { parseInput } from "../../core/parse.ts";
import type { EventRow } from "../../postgres/pages/event-log.ts";
import { Cursor } from "../api/schemas.ts";
import { Badge } from "../parts/badge.tsx";
import { ChoiceField, Filter, Keyset, TextField } from "../parts/filter.tsx";
import { DecisionLink, ModelLink, withQuery } from "../parts/links.tsx";
import { Time } from "../parts/time.tsx";
import { ROWS, takePage } from "./paging.ts";
import type { Page } from "./page.ts";
import { Table } from "../parts/table.tsx";

const PATH = "/events";
const Query = z.object({
  model: ModelName.optional(),
  state: z.enum(["not_decided"]).optional(),
  cursor: Cursor,
});

/** Every event that was accepted, newest first, each with the decision that covers it. */
export const eventsPage: Page = {
  path: PATH,
  role: "viewer",
  navigation: "Events",
  requires: ["postgres"],
  async load({ query, now }, { database }) {
    const { model, state, cursor: before } = parseInput(Query, query, "address");
    const rows = await database.listEvents({
      model,
      isOpen: state === "not_decided",
      before,
      limit: ROWS + 1,
    });
    const { shown, last } = takePage(rows);
    return {
      title: "Events",
      body: (
        <>
          <h1>Events</h1>
          <p class="lead">
            Each drift run that reported its end, and the decision that has read the sources after it.
          </p>
          <Filter>
            <TextField name="model" label="Model" value={model} />
            <ChoiceField name="state" label="State" value={state} options={["not_decided"]} />
          </Filter>
          <section id="events" data-part>
            {shown.length === 0 ? (
              <p class="empty">
                {model === undefined && state === undefined ? (
                  <>
                    No event yet. Send one with <code>npx retrigger emit --run-id ID</code>, or by the{" "}
                    <a href="/api/v1/docs">API</a>.
                  </>
                ) : (
                  <>
                    No event matches. <a href={PATH}>Show all</a>
                  </>
                )}
              </p>
            ) : (
              <Table
                label="Events"
                cards
                columns={["Drift run", "Model", "Received", "Source", "State", "Decision"]}
              >
                {shown.map((row) => {
                  const [tone, text] = describe(row);
                  return (
                    <tr>
                      <th scope="row">
                        <code>{row.eventRunId}</code>
                      </th>
                      <td data-label="Model">
                        <ModelLink model={row.model} />
                      </td>
                      <td data-label="Received">
                        <Time at={row.receivedAt} now={now} />
                      </td>
                      <td data-label="Source">{row.source ?? "–"}</td>
                      <td data-label="State">
                        <Badge tone={tone}>{text}</Badge>
                      </td>
                      <td data-label="Decision">
                        <DecisionLink id={row.decisionId} />
                      </td>
                    </tr>
                  );
                })}
              </Table>
            )}
            <Keyset
              first={before === undefined ? null : withQuery(PATH, query, { cursor: null })}
              next={last && withQuery(PATH, query, { cursor: String(last.id) })}
            />
          </section>
        </>
      ),
    };
  },
};

function describe({ outcome, decisionId }: EventRow): [Tone, string] {
  if (outcome === "drift_run_failed") return ["bad", "drift run failed"];
  if (decisionId === null) return ["busy", "not decided yet"];
  return ["good", outcome === "folded" ? "decided with others" : "decided"];
}
