import { isMock } from "../../core/dispatch/dispatch.ts";
import { snooze } from "../../core/guards/snooze.ts";
import { trainingInFlight } from "../../core/guards/training-in-flight.ts";
import type { ModelView } from "../../use-cases/model-view.ts";
import { modelPath } from "../parts/links.tsx";
import { ApprovalForms, DispatchForms } from "./decision-forms.tsx";
import { ReasonField } from "./fields.tsx";

/** What an operator may do about a model. Each form says first what it will do. */
export function ModelActions({ model, view }: { model: string; view: ModelView }) {
  const { config, basis, facts, standing } = view;
  const path = modelPath(model);
  const isTrigger = basis?.verdict.decision === "trigger";
  const trainer = isMock(config.trainer.name)
    ? "the mock trainer shows the request and sends nothing"
    : `a training is requested from ${config.trainer.name}`;
  const isTraining = basis?.verdict.failed.some((code) => code === trainingInFlight.reason);
  const mayForce = basis?.verdict.condition?.passed === true && !isTrigger;
  return (
    <section class="actions" aria-label="Actions">
      {standing === "approval" && facts.approval !== null && <ApprovalForms id={facts.approval.decisionId} />}
      {facts.training !== null && (
        <DispatchForms
          id={facts.training.decisionId}
          trainer={facts.training.trainer}
          state={facts.training.state}
        />
      )}
      <details class="action">
        <summary>Decide now</summary>
        <p>
          The sources are read again, and a decision is recorded.{" "}
          {isTrigger
            ? `As things stand it triggers: ${trainer}.`
            : "As things stand it records no action. If the sources have changed since, it may trigger."}
        </p>
        <form method="post" action={`${path}/decide`}>
          <button class="main">Decide now</button>
          <a class="button" href={`${path}/dry-run`}>
            Dry run: record and send nothing
          </a>
        </form>
      </details>
      <a class="button" href={`${path}/backtest`}>
        Backtest
      </a>
      {mayForce && (
        <details class="action">
          <summary>Force</summary>
          <p>{`The condition of the policy holds, but guards object. A forced decision passes the guards: ${trainer}.${isTraining ? " A training is under way, so this may start a second one." : ""} Your name and reason are recorded.`}</p>
          <form method="post" action={`${path}/force`}>
            <ReasonField />
            <button class="main">Force the training</button>
          </form>
        </details>
      )}
      {config.policy.guards[snooze.key] !== "off" &&
        (facts.snoozedUntil === null ? (
          <details class="action">
            <summary>Snooze</summary>
            <p>
              No training starts until the snooze ends. Drift and data are still recorded, and the model is
              re-evaluated then.
            </p>
            <form method="post" action={`${path}/snooze`}>
              <label>
                For (8h, 1d, 2w){" "}
                <input
                  name="for"
                  required
                  value="1d"
                  size={6}
                  pattern="\d+(\.\d+)?\s*[smhdw]"
                  title="A duration such as 8h, 1d or 2w"
                />
              </label>
              <ReasonField />
              <button class="main">Snooze</button>
            </form>
          </details>
        ) : (
          <details class="action">
            <summary>End the snooze</summary>
            <p>Trainings may start again. If the snooze held the model back, it is re-evaluated at once.</p>
            <form method="post" action={`${path}/unsnooze`}>
              <button class="main">End the snooze</button>
            </form>
          </details>
        ))}
    </section>
  );
}
