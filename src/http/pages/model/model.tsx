import { isMock } from "../../../core/dispatch/dispatch.ts";
import type { Explanation } from "../../../core/explain/explanation.ts";
import { type ModelView, viewModel } from "../../../use-cases/model-view.ts";
import { ModelActions } from "../../actions/model-forms.tsx";
import { AnswerPanel, describeNearestFlip } from "../../parts/answer.tsx";
import { BufferTable } from "../../parts/evidence.tsx";
import { DecisionLink } from "../../parts/links.tsx";
import { Time } from "../../parts/time.tsx";
import { Conditions, Guards } from "../../parts/verdict.tsx";
import type { Page } from "../page.ts";
import { findRange } from "../range.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { Brought } from "./brought.tsx";
import { History } from "./history.tsx";
import { Plans } from "./plans.tsx";
import { Policies } from "./policies.tsx";
import { Shadow } from "./shadow.tsx";

/** Why a model is or is not retrained, first in a sentence, then in every detail. */
export const modelPage: Page = {
  path: "/models/:model",
  role: "viewer",
  requires: ["postgres"],
  async load({ params, query, mayAct, now }, { live, database, client, reader, redact }) {
    const { model = "" } = params;
    const range = findRange(query["range"]);
    const feature = query["feature"] ?? null;
    const view = await viewModel(
      { models: live.models(), database, reader, inbox: client.inbox, redact },
      model,
      {
        seconds: range.seconds,
        feature,
        now,
      },
    );
    const { answer, basis, facts, problem, checksProblem } = view;
    return {
      title: `${answer.label} · ${model}`,
      model,
      tone: answer.tone,
      // No event says that a source can be read again.
      ...(problem === null && checksProblem === null ? {} : { refreshMs: 15_000 }),
      body: (
        <>
          <Breadcrumb links={[["Models", "/"]]} />
          <h1>{model}</h1>
          <AnswerPanel answer={answer} flip={describeFlip(view, mayAct)} now={now}>
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
          <div id="actions" data-part>
            {mayAct && <ModelActions model={model} view={view} />}
          </div>
          <div id="basis" data-part>
            {basis !== null && (
              <div class="columns">
                <Conditions
                  basis={basis}
                  explanation={withoutMock(basis.verdict.explanation, view)}
                  isPast={false}
                  now={now}
                />
                <div>
                  <Guards basis={basis} isPast={false} now={now} />
                  <Plans view={view} model={model} now={now} />
                </div>
              </div>
            )}
          </div>
          <Brought trainings={view.judged} />
          <History view={view} query={query} model={model} now={now} range={range} />
          <div class="columns">
            <div id="buffer" data-part>
              {basis !== null && (
                <section class="panel">
                  <h2>Buffer</h2>
                  <BufferTable evidence={basis.evidence} now={now} />
                </section>
              )}
            </div>
            <div>
              {basis === null && <Plans view={view} model={model} now={now} />}
              <Policies view={view} model={model} redact={redact} now={now} />
              <Shadow report={view.shadow} now={now} />
            </div>
          </div>
        </>
      ),
    };
  },
};

/** The nearest change that would turn the answer; what a person has to do comes first. */
function describeFlip({ standing, basis, facts }: ModelView, mayAct: boolean): string | null {
  switch (standing) {
    case "approval":
      return `What would change that: ${mayAct ? "your approval, below" : "the approval of an operator"}.`;
    case "unknown":
      return `What would change that: ${mayAct ? "look at the trainer, then confirm the training or resend the request, below" : "an operator confirms the training or resends the request"}.`;
    case "refused":
      return `What would change that: ${mayAct ? "fix the cause, then retry the request, below" : "an operator retries the request"}.`;
    default: {
      const isNow = basis?.decisionId === null || facts.latest?.decision === "no_action";
      return isNow && basis?.verdict.decision === "no_action"
        ? describeNearestFlip(basis.verdict.explanation, false)
        : null;
    }
  }
}

/** Nothing was trained by the mock trainer, so nothing has emptied the buffer. */
function withoutMock(explanation: Explanation | null, { config }: ModelView): Explanation | null {
  return explanation !== null && isMock(config.trainer.name) ? { ...explanation, warnings: [] } : explanation;
}
