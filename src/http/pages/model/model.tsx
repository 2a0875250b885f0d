import { viewModel } from "../../../use-cases/model-view.ts";
import { ModelActions } from "../../actions/model-forms.tsx";
import { AnswerPanel, describeTurn, Explained } from "../../parts/answer.tsx";
import { ConditionTree, GuardList } from "../../parts/condition-tree.tsx";
import { BufferTable } from "../../parts/evidence.tsx";
import { DecisionLink } from "../../parts/links.tsx";
import { Time } from "../../parts/time.tsx";
import type { Page } from "../page.ts";
import { findRange } from "../range.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { History } from "./history.tsx";
import { Plans } from "./plans.tsx";
import { Policies } from "./policies.tsx";

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
