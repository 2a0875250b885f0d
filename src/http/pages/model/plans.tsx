import type { ModelView } from "../../../use-cases/model-view.ts";
import { BroughtBadge } from "../../parts/outcome.tsx";
import { DecisionLink, TrainingLink, TrainingState, withQuery } from "../../parts/links.tsx";
import { Time } from "../../parts/time.tsx";
import { listPlanned } from "./time-axis.ts";

/** What comes next, and the last trainings. */
export function Plans({ view, model, now }: { view: ModelView; model: string; now: number }) {
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
          {trainings.map(({ decisionId, trainer, state, requestedAt, url, brought }) => (
            <li>
              <DecisionLink id={decisionId} /> <TrainingState trainer={trainer} state={state} />{" "}
              <TrainingLink url={url}>{trainer}</TrainingLink> <Time at={requestedAt} now={now} />
              {brought !== null && (
                <>
                  {" "}
                  <BroughtBadge brought={brought} />
                </>
              )}
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
