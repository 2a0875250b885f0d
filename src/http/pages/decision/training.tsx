import { isMock } from "../../../core/dispatch/dispatch.ts";
import { describeSpan } from "../../../core/duration.ts";
import { type DecisionView } from "../../../use-cases/decision-view.ts";
import { decisionPath, TrainingLink, TrainingState } from "../../parts/links.tsx";
import { Outcomes } from "../../parts/outcome.tsx";
import { Time } from "../../parts/time.tsx";

/** The training that a decision requested, step by step. */
export function Training({ view: { decision, training, trail }, now }: { view: DecisionView; now: number }) {
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
      <Outcomes outcomes={decision.outcomes} now={now} />
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
