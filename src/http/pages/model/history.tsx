import { formatCount } from "../../../core/format.ts";
import { type ModelView, SHOWN_CHECKS } from "../../../use-cases/model-view.ts";
import { CheckTable } from "../../parts/evidence.tsx";
import { DecisionLink, modelPath, TrainingState, withQuery } from "../../parts/links.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { Timeline } from "../../parts/timeline/timeline.tsx";
import { RANGES } from "../range.ts";
import { computeAxis, listPlanned, listSeries } from "./time-axis.ts";

/** The features of a chart, the most drifting first; the others are a choice away. */
const SHOWN_FEATURES = 6;
const TABLE_ROWS = 100;
const countShown = ({ length }: readonly unknown[]): string => formatCount(Math.min(length, TABLE_ROWS));

/** Drift, buffer, decisions and trainings on one time axis, and as tables. */
export function History({
  view,
  query,
  model,
  now,
  range,
}: {
  view: ModelView;
  query: Readonly<Record<string, string | undefined>>;
  model: string;
  now: number;
  range: (typeof RANGES)[number];
}) {
  const path = modelPath(model);
  const { checks, checksProblem, history, basis } = view;
  const series = listSeries(checks);
  const planned = listPlanned(view).filter(({ at }) => at > now);
  const [from, to] = computeAxis(view, planned, { seconds: range.seconds, now });
  // A line for growth since the last training would mean nothing beside the size of the whole buffer.
  const required = basis?.verdict.criteria.find(({ id }) => id === "buffer_size")?.required;
  return (
    <section class="panel">
      <h2>Drift, buffer, decisions and trainings</h2>
      <form class="filter" action={path}>
        <label>
          Range{" "}
          <select name="range">
            {RANGES.map(({ name, label }) => (
              <option value={name} selected={name === range.name}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          Feature{" "}
          <input
            name="feature"
            list="features"
            value={query["feature"]}
            placeholder="all"
            autocomplete="off"
          />
        </label>
        <datalist id="features">
          {series.map(({ feature }) => (
            <option value={feature} />
          ))}
        </datalist>
        <button>Show</button>
        <a
          class="button"
          href={withQuery(`${path}/checks.csv`, { range: query["range"], feature: query["feature"] })}
        >
          CSV
        </a>
      </form>
      <div id="history" data-part>
        {checksProblem !== null && checksProblem !== view.problem && <p class="notice">{checksProblem}</p>}
        {checks.length === 0 && checksProblem === null && (
          <p class="empty">
            {`No drift check in the last ${range.label.toLowerCase()}${query["feature"] === undefined ? "" : " of this feature"}. Choose a longer range, or look whether drift monitoring runs.`}
          </p>
        )}
        <div class="scroll" tabIndex={0} role="region" aria-label="Chart">
          <Timeline
            range={[from, to]}
            now={now}
            features={series.slice(0, SHOWN_FEATURES)}
            buffer={{ required: required ?? null, unit: view.config.source.buffer.unit }}
            history={history}
            planned={planned.filter(({ at }) => at <= to)}
          />
        </div>
        {series.length > SHOWN_FEATURES && (
          <p class="soft">{`The ${SHOWN_FEATURES} features that drift most are drawn, of ${formatCount(series.length)}. Choose another one above.`}</p>
        )}
        {checks.length === SHOWN_CHECKS && (
          <p class="soft">{`Only the newest ${formatCount(SHOWN_CHECKS)} checks are drawn.`}</p>
        )}
        <details class="data">
          <summary>{`As tables: ${countShown(checks)} checks, ${countShown(history.decisions)} decisions, ${countShown(history.trainings)} trainings`}</summary>
          <h3>Drift checks</h3>
          <CheckTable checks={checks.slice(0, TABLE_ROWS)} now={now} />
          <h3>Decisions</h3>
          <DecisionPoints
            decisions={history.decisions.slice(0, TABLE_ROWS)}
            unit={view.config.source.buffer.unit}
            now={now}
          />
          <h3>Trainings</h3>
          <TrainingTable trainings={history.trainings.slice(0, TABLE_ROWS)} now={now} />
        </details>
      </div>
    </section>
  );
}

function DecisionPoints({
  decisions,
  unit,
  now,
}: {
  decisions: ModelView["history"]["decisions"];
  unit: string;
  now: number;
}) {
  return (
    <Table
      label="Decisions in the chart"
      columns={["Decision", "When", "Result", "Reason", { label: unit, isNumber: true }]}
    >
      {decisions.map(({ id, at, decision, codes, bufferSize }) => (
        <tr>
          <td>
            <DecisionLink id={id} />
          </td>
          <td>
            <Time at={at} now={now} />
          </td>
          <td>{decision}</td>
          <td>{codes.join(", ")}</td>
          <td class="number">{bufferSize === null ? "–" : formatCount(bufferSize)}</td>
        </tr>
      ))}
    </Table>
  );
}

function TrainingTable({ trainings, now }: { trainings: ModelView["history"]["trainings"]; now: number }) {
  return (
    <Table label="Trainings in the chart" columns={["Decision", "State", "Requested", "Ended"]}>
      {trainings.map(({ decisionId, trainer, state, requestedAt, endedAt }) => (
        <tr>
          <td>
            <DecisionLink id={decisionId} />
          </td>
          <td>
            <TrainingState trainer={trainer} state={state} />
          </td>
          <td>
            <Time at={requestedAt} now={now} />
          </td>
          <td>
            <Time at={endedAt} now={now} />
          </td>
        </tr>
      ))}
    </Table>
  );
}
