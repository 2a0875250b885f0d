import { parseInput } from "../../core/parse.ts";
import { toCsv } from "../../core/csv.ts";
import { CRITERIA } from "../../core/criteria/registry.ts";
import { formatCount, formatScore } from "../../core/format.ts";
import { approval } from "../../core/guards/approval.ts";
import { GUARDS } from "../../core/guards/registry.ts";
import type { DecisionFilter, DecisionRow } from "../../postgres/decision-log.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../../use-cases/export/formats.ts";
import { DecisionQuery, DecisionRow as RowSchema, toDecisionFilter } from "../api/schemas.ts";
import { Badge } from "../parts/badge.tsx";
import { ChoiceField, Filter, Keyset, TextField } from "../parts/filter.tsx";
import { DecisionLink, ModelLink, TrainingLink, withQuery } from "../parts/links.tsx";
import { Prose } from "../parts/prose.tsx";
import { Time } from "../parts/time.tsx";
import { ROWS, takePage } from "./paging.ts";
import type { Page, PageCall } from "./page.ts";
import { Table } from "../parts/table.tsx";

const PATH = "/decisions";
const CSV_ROWS = 5_000;

const EXPORT = "/api/v1/decisions/export";
const EXPORT_NAMES: Readonly<Record<ExportFormat, string>> = {
  csv: "CSV",
  jsonl: "JSON Lines",
  openlineage: "OpenLineage",
};

const REASONS = [
  ...new Set([
    "drift_detected",
    ...CRITERIA.flatMap(({ carries }) => carries ?? []),
    ...[...CRITERIA, ...GUARDS].map(({ reason }) => reason),
  ]),
];

/** Every decision, newest first. */
export const decisionsPage: Page = {
  path: PATH,
  role: "viewer",
  navigation: "Decisions",
  requires: ["postgres"],
  async load({ query, mayAct, now }, { database }) {
    const filter = toFilter(query);
    const rows = await database.listDecisions({ ...filter, limit: ROWS + 1 });
    const { shown, last } = takePage(rows);
    return {
      title: "Decisions",
      body: (
        <>
          <h1>Decisions</h1>
          <Filter>
            <TextField name="model" label="Model" value={query["model"]} />
            <ChoiceField
              name="decision"
              label="Decision"
              value={query["decision"]}
              options={["trigger", "no_action"]}
            />
            <ChoiceField name="reason" label="Reason" value={query["reason"]} options={REASONS} />
            <ChoiceField
              name="cause"
              label="Cause"
              value={query["cause"]}
              options={["event", "schedule", "manual", "followup"]}
            />
            <TextField name="since" label="From (UTC)" type="datetime-local" value={query["since"]} />
            <TextField name="until" label="Before (UTC)" type="datetime-local" value={query["until"]} />
          </Filter>
          <p>
            Export:{" "}
            {EXPORT_FORMATS.map((format, index) => (
              <>
                {index > 0 && " · "}
                <a href={withQuery(EXPORT, query, { cursor: null, format })} download>
                  {EXPORT_NAMES[format]}
                </a>
              </>
            ))}
            {mayAct && (
              <>
                {" · "}
                <a href={withQuery(`${PATH}/retry`, query, { cursor: null })}>Retry refused requests</a>
              </>
            )}
          </p>
          <section id="decisions" data-part>
            {shown.length === 0 ? (
              <p class="empty">
                {Object.keys(query).length === 0 ? (
                  <>
                    No decision yet. Send an event, or open a <a href="/">model</a> and decide now.
                  </>
                ) : (
                  <>
                    No decision matches. <a href={PATH}>Show all</a>
                  </>
                )}
              </p>
            ) : (
              <DecisionTable rows={shown} now={now} />
            )}
            <Keyset
              first={query["cursor"] === undefined ? null : withQuery(PATH, query, { cursor: null })}
              next={last && withQuery(PATH, query, { cursor: String(last.id) })}
            />
          </section>
        </>
      ),
    };
  },
};

/** The newest of them as CSV. */
export const decisionsCsv: Page = {
  path: `${PATH}.csv`,
  role: "viewer",
  requires: ["postgres"],
  async load({ query }, { database }) {
    const rows = await database.listDecisions({ ...toFilter(query), limit: CSV_ROWS });
    const columns = Object.keys(RowSchema.shape) as (keyof DecisionRow)[];
    return { name: "decisions.csv", csv: toCsv(columns, rows) };
  },
};

/** The filter of an address. @throws PermanentError that names what is malformed. */
export function toFilter(query: PageCall["query"]): Omit<DecisionFilter, "limit"> {
  const { done: _done, ...own } = query;
  return toDecisionFilter(parseInput(DecisionQuery, own, "address"));
}

export function DecisionTable({ rows, now }: { rows: readonly DecisionRow[]; now: number }) {
  return (
    <Table
      label="Decisions"
      cards
      columns={[
        "Decision",
        "When",
        "Model",
        "Result",
        { label: "Buffer", isNumber: true },
        { label: "Drift", isNumber: true },
        "Cause",
        "Training",
      ]}
    >
      {rows.map((row) => (
        <tr>
          <th scope="row">
            <DecisionLink id={row.id} />
          </th>
          <td data-label="When">
            <Time at={row.decidedAt} now={now} />
          </td>
          <td data-label="Model">
            {/* The DAG names no model: what its rows have is the column's default. */}
            {row.runId === null ? row.model : <ModelLink model={row.model} />}
          </td>
          <td data-label="Result">
            <Outcome row={row} />
            <small>
              <Prose
                text={row.why ?? row.reason?.replaceAll(",", ", ").replaceAll("_", " ") ?? ""}
                now={now}
              />
            </small>
          </td>
          <td data-label="Buffer" class="number">
            {row.bufferSize === null ? "–" : formatCount(row.bufferSize)}
          </td>
          <td data-label="Drift" class="number">
            {row.driftScore === null ? "–" : formatScore(row.driftScore)}
          </td>
          <td data-label="Cause">{row.cause ?? "DAG"}</td>
          <td data-label="Training">
            {row.dispatch === null ? (
              <span class="none">–</span>
            ) : (
              <TrainingLink url={row.url}>
                {row.decision === "trigger_mock" ? "shown only" : row.dispatch}
              </TrainingLink>
            )}
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Outcome({ row: { decision, reason } }: { row: DecisionRow }) {
  if (decision === "trigger_mock") return <Badge tone="good">triggered (mock)</Badge>;
  if (decision === "trigger") return <Badge tone="good">triggered</Badge>;
  if (reason?.split(",").includes(approval.reason)) return <Badge tone="act">approval requested</Badge>;
  return <Badge tone="calm">no action</Badge>;
}
