import { z } from "zod";
import { ModelName } from "../../../queues/jobs.ts";
import { DispatchState } from "../../core/dispatch/dispatch.ts";
import { describeSpan } from "../../core/duration.ts";
import { describeOutcome } from "../../core/outcome/outcome.ts";
import { parseInput } from "../../core/parse.ts";
import { Cursor } from "../api/schemas.ts";
import { ChoiceField, Filter, Keyset, TextField } from "../parts/filter.tsx";
import { DecisionLink, ModelLink, TrainingLink, TrainingState, withQuery } from "../parts/links.tsx";
import { BroughtBadge } from "../parts/outcome.tsx";
import { Time } from "../parts/time.tsx";
import { ROWS, takePage } from "./paging.ts";
import type { Page } from "./page.ts";
import { Table } from "../parts/table.tsx";

const PATH = "/trainings";
const Query = z.object({ model: ModelName.optional(), state: DispatchState.optional(), cursor: Cursor });

/** Every training that was requested, newest first. */
export const trainingsPage: Page = {
  path: PATH,
  role: "viewer",
  navigation: "Trainings",
  requires: ["postgres"],
  async load({ query, now }, { database }) {
    const { model, state, cursor: before } = parseInput(Query, query, "address");
    const rows = await database.listTrainings({ model, state, before, limit: ROWS + 1 });
    const { shown, last } = takePage(rows);
    return {
      title: "Trainings",
      body: (
        <>
          <h1>Trainings</h1>
          <Filter>
            <TextField name="model" label="Model" value={model} />
            <ChoiceField name="state" label="State" value={state} options={DispatchState.options} />
          </Filter>
          <section id="trainings" data-part>
            {shown.length === 0 ? (
              <p class="empty">
                {model === undefined && state === undefined
                  ? "No training was requested yet. The first decision that triggers requests one."
                  : "No training matches."}{" "}
                <a href={PATH}>Show all</a>
              </p>
            ) : (
              <Table
                label="Trainings"
                cards
                columns={[
                  "Decision",
                  "Model",
                  "State",
                  "Trainer",
                  "Requested",
                  "Ended",
                  { label: "Took", isNumber: true },
                  "Brought",
                ]}
              >
                {shown.map((row) => (
                  <tr>
                    <th scope="row">
                      <DecisionLink id={row.decisionId} />
                    </th>
                    <td data-label="Model">
                      <ModelLink model={row.model} />
                    </td>
                    <td data-label="State">
                      <TrainingState trainer={row.trainer} state={row.state} />
                      <small>{row.error ?? row.conclusion}</small>
                    </td>
                    <td data-label="Trainer">
                      <TrainingLink url={row.url}>{row.trainer}</TrainingLink>
                    </td>
                    <td data-label="Requested">
                      <Time at={row.requestedAt} now={now} />
                    </td>
                    <td data-label="Ended">
                      <Time at={row.endedAt} now={now} />
                    </td>
                    <td data-label="Took" class="number">
                      {row.durationSeconds === null ? "–" : describeSpan(row.durationSeconds * 1000)}
                    </td>
                    <td data-label="Brought">
                      {row.brought === null ? (
                        <span class="none">–</span>
                      ) : (
                        <>
                          <BroughtBadge brought={row.brought} />
                          <small>{row.outcomes.map(describeOutcome).join("; ")}</small>
                        </>
                      )}
                    </td>
                  </tr>
                ))}
              </Table>
            )}
            <Keyset
              first={before === undefined ? null : withQuery(PATH, query, { cursor: null })}
              next={last && withQuery(PATH, query, { cursor: String(last.decisionId) })}
            />
          </section>
        </>
      ),
    };
  },
};
