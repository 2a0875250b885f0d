import { renderSettings } from "../../config/effective-config.ts";
import { describeCondition } from "../../core/describe-condition.ts";
import { formatCount } from "../../core/format.ts";
import { Policy } from "../../core/policy.ts";
import type { CheckRow } from "../../postgres/pages/check-history.ts";
import { type ModelView, SHOWN_CHECKS, viewModel } from "../../use-cases/model-view.ts";
import { ModelActions } from "../actions/model-forms.tsx";
import { AnswerPanel, describeTurn, Explained } from "../parts/answer.tsx";
import { ConditionTree, GuardList, keyOf } from "../parts/condition-tree.tsx";
import { BufferTable, CheckTable } from "../parts/evidence.tsx";
import { DecisionLink, modelPath, TrainingLink, TrainingState, withQuery } from "../parts/links.tsx";
import { type FeatureSeries, type Planned, Timeline } from "../parts/timeline.tsx";
import { Time } from "../parts/time.tsx";
import type { Page } from "./page.ts";
import { findRange, RANGES } from "./range.ts";
import { Table } from "../parts/table.tsx";
import { Breadcrumb } from "../parts/breadcrumb.tsx";

/** The features of a chart, the most drifting first; the others are a choice away. */
const SHOWN_FEATURES = 6;

/** Why a model is or is not retrained, first in a sentence, then in every detail. */
export const modelPage: Page = {
  path: "/models/:model",
  role: "viewer",
  requires: ["postgres"],
  async load({ params, query, mayAct, now }, { live, database, client }) {
    const { model = "" } = params;
    const range = findRange(query["range"]);
    const feature = query["feature"] ?? null;
    const view = await viewModel({ models: live.models(), database, inbox: client.inbox }, model, {
      seconds: range.seconds,
      feature,
      now,
    });
    const { answer, basis, facts, problem } = view;
    return {
      title: `${answer.label} · ${model}`,
      tone: answer.tone,
      body: (
        <>
          <Breadcrumb links={[["Models", "/"]]} />
          <h1>{model}</h1>
          <AnswerPanel
            answer={answer}
            turn={
              facts.approval === null && basis?.verdict.decision === "no_action"
                ? describeTurn(basis.verdict.explanation, false)
                : null
            }
          >
            {problem !== null && basis !== null && <p class="notice">{problem}</p>}
            <p class="soft">
              {basis !== null && (
                <>
                  {basis.decisionId === null
                    ? "By the sources as of "
                    : `As of decision #${basis.decisionId}, `}
                  <Time at={basis.evidence.takenAt} now={now} />.{" "}
                </>
              )}
              {facts.latest !== null && (
                <>
                  Latest decision: <DecisionLink id={facts.latest.id} />{" "}
                  <Time at={facts.latest.decidedAt} now={now} />.
                </>
              )}
            </p>
          </AnswerPanel>
          {mayAct && <ModelActions model={model} view={view} />}
          {basis !== null && (
            <div class="columns">
              <section id="condition" data-part class="panel">
                <h2>What it takes</h2>
                {basis.verdict.condition !== null && (
                  <ConditionTree
                    result={basis.verdict.condition}
                    unit={basis.evidence.buffer.unit}
                    now={now}
                  />
                )}
                {basis.verdict.explanation !== null && (
                  <Explained explanation={basis.verdict.explanation} isPast={false} />
                )}
              </section>
              <div>
                <section id="guards" data-part class="panel">
                  <h2>Guards</h2>
                  <GuardList guards={basis.verdict.guards} now={now} />
                </section>
                <Plans view={view} model={model} now={now} />
              </div>
            </div>
          )}
          <History view={view} query={query} model={model} now={now} range={range} />
          <div class="columns">
            {basis !== null && (
              <section id="buffer" data-part class="panel">
                <h2>Buffer</h2>
                <BufferTable evidence={basis.evidence} now={now} />
              </section>
            )}
            <div>
              {basis === null && <Plans view={view} model={model} now={now} />}
              <Policies view={view} model={model} now={now} />
            </div>
          </div>
        </>
      ),
    };
  },
};

function History({
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
  const earliest = Math.min(
    ...checks.slice(-1).map(({ at }) => Date.parse(at)),
    ...history.decisions.slice(-1).map(({ at }) => Date.parse(at)),
    now - range.seconds * 100,
  );
  // No empty space before the first entry.
  const from = Math.max(now - range.seconds * 1000, earliest - range.seconds * 20);
  // Plans may reach a third of the axis; what is later has a row in the list of plans.
  const latest = Math.max(now + range.seconds * 40, ...planned.map(({ at }) => at));
  const to = Math.min(latest + range.seconds * 20, now + range.seconds * 500);
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
          <DecisionTable
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

const TABLE_ROWS = 100;
const countShown = ({ length }: readonly unknown[]): string => formatCount(Math.min(length, TABLE_ROWS));

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

function DecisionTable({
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

/** The checks by feature, those with the highest recent score in thresholds first. */
function listSeries(checks: readonly CheckRow[]): FeatureSeries[] {
  const features = new Map<string, CheckRow[]>();
  for (const check of checks.toReversed()) {
    const feature = check.feature ?? "(no name)";
    const known = features.get(feature);
    if (known) known.push(check);
    else features.set(feature, [check]);
  }
  const weight = ({ checks: own }: FeatureSeries): number => {
    const { score = null, threshold = null, triggered = false } = own.at(-1) ?? {};
    return (
      (triggered ? 1e6 : 0) + (score === null || threshold === null || threshold <= 0 ? 0 : score / threshold)
    );
  };
  return [...features]
    .map(([feature, own]) => ({ feature, checks: own }))
    .toSorted((a, b) => weight(b) - weight(a) || (a.feature < b.feature ? -1 : 1));
}

function listPlanned({ basis, nextFiringAt }: ModelView): Planned[] {
  const guards = (basis?.verdict.guards ?? []).flatMap(({ id, passed, nextLookAt }) =>
    passed || nextLookAt === undefined ? [] : [{ label: `${keyOf(id)} ends`, at: Date.parse(nextLookAt) }],
  );
  const next = basis?.verdict.nextLookAt ?? null;
  const isKnown = guards.some(({ at }) => next !== null && at === Date.parse(next));
  return [
    ...guards,
    ...(nextFiringAt === null ? [] : [{ label: "schedule", at: nextFiringAt }]),
    ...(next === null || isKnown ? [] : [{ label: "next look", at: Date.parse(next) }]),
  ].toSorted((a, b) => a.at - b.at);
}

function Plans({ view, model, now }: { view: ModelView; model: string; now: number }) {
  const { facts, trainings, config, nextFiringAt } = view;
  const plans = listPlanned(view);
  return (
    <section id="plans" data-part class="panel">
      <h2>Next and last</h2>
      <dl class="facts">
        {plans.map(({ label, at }) => (
          <>
            <dt>{label}</dt>
            <dd>
              <Time at={new Date(at).toISOString()} now={now} />
            </dd>
          </>
        ))}
        {nextFiringAt === null && (
          <>
            <dt>schedule</dt>
            <dd>
              {config.schedule === null
                ? "none: events, people and follow-ups request decisions"
                : `${config.schedule} (UTC); the next time is not known now`}
            </dd>
          </>
        )}
        {facts.snoozedUntil !== null && (
          <>
            <dt>snoozed until</dt>
            <dd>
              <Time at={facts.snoozedUntil} now={now} />
            </dd>
          </>
        )}
      </dl>
      <h3>Trainings</h3>
      {trainings.length === 0 ? (
        <p class="soft">No training was requested yet.</p>
      ) : (
        <ul>
          {trainings.map(({ decisionId, trainer, state, requestedAt, url }) => (
            <li>
              <DecisionLink id={decisionId} /> <TrainingState trainer={trainer} state={state} />{" "}
              <TrainingLink url={url}>{trainer}</TrainingLink> <Time at={requestedAt} now={now} />
            </li>
          ))}
        </ul>
      )}
      <p>
        <a href={withQuery("/decisions", { model })}>All decisions</a> ·{" "}
        <a href={withQuery("/trainings", { model })}>all trainings</a> ·{" "}
        <a href={withQuery("/events", { model })}>all events</a>
      </p>
    </section>
  );
}

function Policies({ view, model, now }: { view: ModelView; model: string; now: number }) {
  const { config, policies } = view;
  return (
    <section id="policy" data-part class="panel">
      <h2>Policy in force</h2>
      <p>{describeCondition(config.policy)}</p>
      <details class="data">
        <summary>All its settings, as YAML</summary>
        <pre tabIndex={0}>{renderSettings(model, config)}</pre>
      </details>
      <h3>History of the policy</h3>
      {policies.length === 0 ? (
        <p class="soft">No decision was made yet.</p>
      ) : (
        <ul>
          {policies.map(({ policyHash, policy, from, to, decisions }) => {
            const parsed = Policy.safeParse(policy);
            return (
              <li>
                <Time at={from} now={now} bare /> to <Time at={to} now={now} bare />, {formatCount(decisions)}{" "}
                {decisions === 1 ? "decision" : "decisions"} (<code>{(policyHash ?? "").slice(0, 8)}</code>):{" "}
                {parsed.success ? describeCondition(parsed.data) : "a policy that this version cannot read"}
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}
