import { isMock } from "../../core/dispatch/dispatch.ts";
import { parseInput } from "../../core/parse.ts";
import { STAGES } from "../../../queues/names.ts";
import { describeCondition } from "../../core/describe-condition.ts";
import { formatCount, formatScore } from "../../core/format.ts";
import { describeSpan } from "../../core/duration.ts";
import { type DecisionView, viewDecision } from "../../use-cases/decision-view.ts";
import { AnswerForms, DispatchForms } from "../actions/decision-forms.tsx";
import { DecisionPath } from "../api/schemas.ts";
import { AnswerPanel, describeTurn, Explained } from "../parts/answer.tsx";
import { ConditionTree, GuardList } from "../parts/condition-tree.tsx";
import { BufferTable, CheckTable } from "../parts/evidence.tsx";
import {
  decisionPath,
  DecisionLink,
  ModelLink,
  modelPath,
  TrainingLink,
  TrainingState,
} from "../parts/links.tsx";
import { Time } from "../parts/time.tsx";
import type { Page } from "./page.ts";
import { Breadcrumb } from "../parts/breadcrumb.tsx";

/** One decision with all that is recorded about it. Its address is permanent. */
export const decisionPage: Page = {
  path: "/decisions/:id",
  role: "viewer",
  requires: ["postgres"],
  async load({ params, mayAct, now }, { live, database, config }) {
    const { id } = parseInput(DecisionPath, params, "path");
    const view = await viewDecision(database, id, {
      timeZone: config.timeZone,
      settingNamesOf: (model) => live.models().get(model)?.settingNames ?? {},
      now,
    });
    const { decision, training, answer, basis, explanation, report, trail } = view;
    const isNoAction = decision.decision === "no_action";
    return {
      title: `${answer.label} · #${id} ${decision.model}`,
      tone: answer.tone,
      body: (
        <>
          <Breadcrumb
            links={[
              ["Decisions", "/decisions"],
              [decision.model, modelPath(decision.model)],
            ]}
          />
          <h1>{`Decision #${id}`}</h1>
          <AnswerPanel answer={answer} turn={isNoAction ? describeTurn(explanation, true) : null}>
            <p class="soft">
              Decided <Time at={decision.decidedAt} now={now} /> about <ModelLink model={decision.model} />.{" "}
              {decision.nextLookAt !== null && (
                <>
                  Next look: <Time at={decision.nextLookAt} now={now} />.
                </>
              )}
            </p>
          </AnswerPanel>
          {mayAct && (
            <section class="actions" aria-label="Actions">
              {trail.approval?.isOpen === true && <AnswerForms id={trail.approval.decisionId} />}
              {training !== null && (
                <DispatchForms id={id} trainer={training.trainer} state={training.state} />
              )}
            </section>
          )}
          <div class="columns">
            <div>
              {basis !== null && (
                <section class="panel">
                  <h2>What it took</h2>
                  {basis.verdict.condition !== null && (
                    <ConditionTree
                      result={basis.verdict.condition}
                      unit={basis.evidence.buffer.unit}
                      now={now}
                    />
                  )}
                  {explanation !== null && <Explained explanation={explanation} isPast />}
                </section>
              )}
              <Cause view={view} now={now} />
            </div>
            <div>
              <Training view={view} now={now} />
              {basis !== null && (
                <section class="panel">
                  <h2>Guards</h2>
                  <GuardList guards={basis.verdict.guards} now={now} />
                  <h3>Policy</h3>
                  <p>{describeCondition(basis.policy)}</p>
                </section>
              )}
            </div>
          </div>
          {basis !== null && (
            <div class="columns">
              <section class="panel">
                <h2>Drift checks that it saw</h2>
                <p>
                  {`${formatCount(basis.evidence.checks.total)} in the window, ${formatCount(basis.evidence.checks.triggered)} with an alert.`}
                </p>
                {basis.evidence.checks.newest.length > 0 && (
                  <CheckTable
                    checks={basis.evidence.checks.newest.map(({ checkedAt: at, ...check }) => ({
                      at,
                      ...check,
                    }))}
                    now={now}
                  />
                )}
              </section>
              <section class="panel">
                <h2>Buffer that it saw</h2>
                <BufferTable evidence={basis.evidence} now={now} />
              </section>
            </div>
          )}
          {basis === null && (
            <p class="empty">
              {decision.runId === null
                ? "This row was written by the Airflow DAG, which recorded no evidence."
                : "The evidence was recorded by another version, which this one cannot read."}
              {decision.notes !== null && ` Its notes: ${decision.notes}`}
            </p>
          )}
          {report !== null && (
            <section class="panel">
              <h2>Report</h2>
              <details class="data">
                <summary>The text report, as summarize printed it</summary>
                <pre tabIndex={0}>{report}</pre>
              </details>
            </section>
          )}
        </>
      ),
    };
  },
};

const CAUSES: Readonly<Record<string, string>> = {
  event: "a drift run ended",
  schedule: "the schedule",
  manual: "a person or a program requested it",
  followup: "a follow-up that the service itself requested",
};

function Cause({ view: { decision, trail }, now }: { view: DecisionView; now: number }) {
  const { approval, audit } = trail;
  const forced = decision.forced as { by: string; reason: string } | null;
  return (
    <section id="cause" data-part class="panel">
      <h2>Why it was made, and by whom</h2>
      <dl class="facts">
        <dt>Cause</dt>
        <dd>{decision.cause === null ? "the Airflow DAG" : (CAUSES[decision.cause] ?? decision.cause)}</dd>
        <dt>Result</dt>
        <dd>
          <code>{decision.decision}</code> ({decision.reason?.replaceAll(",", ", ")})
        </dd>
        {decision.driftScore !== null && (
          <>
            <dt>Drift score</dt>
            <dd>{formatScore(decision.driftScore)}</dd>
          </>
        )}
        {forced !== null && (
          <>
            <dt>Forced</dt>
            <dd>{`by ${forced.by}: ${forced.reason}`}</dd>
          </>
        )}
        {decision.runId !== null && (
          <>
            <dt>Run</dt>
            <dd>
              <code>{decision.runId}</code>
              <br />
              Jobs:{" "}
              {STAGES.map((stage, index) => (
                <>
                  {index > 0 && " · "}
                  <a href={`/queues/queue/${stage}/${decision.runId}`}>{stage}</a>
                </>
              ))}
            </dd>
          </>
        )}
      </dl>
      {decision.events.length > 0 && (
        <>
          <h3>Events that it covers</h3>
          <ul>
            {decision.events.map(({ runId, source, receivedAt }) => (
              <li>
                <code>{runId}</code>
                {source !== null && ` from ${source}`}, <Time at={receivedAt} now={now} />
              </li>
            ))}
          </ul>
        </>
      )}
      {approval !== null && (
        <>
          <h3>Approval</h3>
          <p>
            Requested by decision <DecisionLink id={approval.decisionId} />{" "}
            <Time at={approval.requestedAt} now={now} />:{" "}
            {approval.isOpen ? (
              <>
                open until <Time at={approval.expiresAt} now={now} />
              </>
            ) : (
              `${approval.state === "open" ? "expired" : approval.state}${approval.by === null ? "" : ` by ${approval.by}`}${approval.reason === null ? "" : ` (${approval.reason})`}`
            )}
          </p>
        </>
      )}
      <h3>Who did what</h3>
      {audit.length === 0 ? (
        <p class="soft">No person has changed anything about it.</p>
      ) : (
        <ul>
          {audit.map(({ at, actor, role, action, result, detail }) => (
            <li>
              <Time at={at} now={now} />: {actor}
              {role !== null && ` (${role})`}, <code>{action}</code>, {result ?? "interrupted"}
              {detail !== null && `: ${detail}`}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Training({ view: { decision, training, trail }, now }: { view: DecisionView; now: number }) {
  if (training === null)
    return (
      <section id="training" data-part class="panel">
        <h2>Training</h2>
        <p class="soft">None: this decision requested no training.</p>
      </section>
    );
  const {
    trainer,
    state,
    url,
    requestedAt,
    startedAt,
    endedAt,
    durationSeconds,
    conclusion,
    error,
    request,
  } = training;
  return (
    <section id="training" data-part class="panel">
      <h2>Training</h2>
      <dl class="facts">
        <dt>State</dt>
        <dd>
          <TrainingState trainer={trainer} state={state} />
        </dd>
        <dt>Trainer</dt>
        <dd>
          <TrainingLink url={url}>{url === null ? trainer : `${trainer}: open the training`}</TrainingLink>
        </dd>
        <dt>Requested</dt>
        <dd>
          <Time at={requestedAt} now={now} />
        </dd>
        {startedAt && (
          <>
            <dt>Started</dt>
            <dd>
              <Time at={startedAt} now={now} />
            </dd>
          </>
        )}
        {endedAt && (
          <>
            <dt>Ended</dt>
            <dd>
              <Time at={endedAt} now={now} />
              {durationSeconds ? `, took ${describeSpan(durationSeconds * 1000)}` : ""}
            </dd>
          </>
        )}
        {conclusion && (
          <>
            <dt>Conclusion</dt>
            <dd>{conclusion}</dd>
          </>
        )}
        {error && (
          <>
            <dt>Problem</dt>
            <dd>{error}</dd>
          </>
        )}
      </dl>
      {trail.steps.length > 0 && (
        <>
          <h3>Every step</h3>
          <ol>
            {trail.steps.map((step) => (
              <li>
                <Time at={step.at} now={now} />: {step.isRequest ? `requested from ${trainer}` : step.state}
                {step.status !== null &&
                  ` (${[step.status, step.conclusion].filter((part) => part !== null).join(", ")})`}
                {step.error !== null && <small>{step.error}</small>}
              </li>
            ))}
          </ol>
        </>
      )}
      <details class="data">
        <summary>{isMock(trainer) ? "The request that a real trainer would send" : "The request"}</summary>
        <pre tabIndex={0}>{JSON.stringify(request, null, 2)}</pre>
      </details>
      <p class="soft">
        Permanent address: <a href={decisionPath(decision.id)}>{decisionPath(decision.id)}</a>
      </p>
    </section>
  );
}
