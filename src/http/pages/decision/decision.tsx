import type { Queue } from "bullmq";
import { STAGES } from "../../../../queues/names.ts";
import { parseInput } from "../../../core/parse.ts";
import { describeCondition } from "../../../core/describe-condition.ts";
import { formatCount } from "../../../core/format.ts";
import { listAuditTargets } from "../../audit-targets.ts";
import { isSettledWithin } from "../../../process/lifecycle.ts";
import { viewDecision } from "../../../use-cases/decision-view.ts";
import {
  describeVerified,
  type DecisionVerification,
  verifyOne,
} from "../../../use-cases/verify/verify-one.ts";
import { REDIS_LIMIT_MS } from "../../../use-cases/model-view.ts";
import { ApprovalForms, DispatchForms } from "../../actions/decision-forms.tsx";
import { DecisionPath } from "../../api/schemas.ts";
import { AnswerPanel, describeNearestFlip } from "../../parts/answer.tsx";
import { BufferTable, CheckTable } from "../../parts/evidence.tsx";
import { Badge } from "../../parts/badge.tsx";
import { ModelLink, modelPath } from "../../parts/links.tsx";
import { Time } from "../../parts/time.tsx";
import { Conditions, Guards } from "../../parts/verdict.tsx";
import type { Page } from "../page.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { Cause } from "./cause.tsx";
import { Training } from "./training.tsx";

/** One decision with all that is recorded about it. Its address is permanent. */
export const decisionPage: Page = {
  path: "/decisions/:id",
  role: "viewer",
  requires: ["postgres"],
  async load({ params, mayAct, now }, { live, database, config, queues }) {
    const { id } = parseInput(DecisionPath, params, "path");
    const [view, verification] = await Promise.all([
      viewDecision(database, id, {
        timeZone: config.timeZone,
        settingNamesOf: (model) => live.models().get(model)?.settingNames ?? {},
        targets: listAuditTargets(id),
        now,
      }),
      verifyOne(database, id),
    ]);
    const { decision, training, answer, basis, explanation, report, shadow, trail } = view;
    const { runId } = decision;
    // They are kept for a while only; without Redis there are none to show.
    const summarize = queues.find(({ name }) => name === STAGES.at(-1));
    const hasJobs = runId !== null && summarize !== undefined && (await hasJob(summarize, runId));
    const isNoAction = decision.decision === "no_action";
    return {
      title: `${answer.label} · #${id} ${decision.model}`,
      model: decision.model,
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
          <AnswerPanel
            answer={answer}
            flip={isNoAction ? describeNearestFlip(explanation, true) : null}
            now={now}
          >
            <p class="soft">
              Decided <Time at={decision.decidedAt} now={now} /> about <ModelLink model={decision.model} />.{" "}
              {decision.nextLookAt !== null && (
                <>
                  Next look: <Time at={decision.nextLookAt} now={now} />.
                </>
              )}
            </p>
            <Verified verification={verification} />
          </AnswerPanel>
          <div id="actions" data-part>
            {mayAct && (
              <section class="actions" aria-label="Actions">
                {trail.approval?.isOpen === true && <ApprovalForms id={trail.approval.decisionId} />}
                {training !== null && (
                  <DispatchForms id={id} trainer={training.trainer} state={training.state} />
                )}
              </section>
            )}
          </div>
          <div class="columns">
            <div>
              {basis !== null && <Conditions basis={basis} explanation={explanation} isPast now={now} />}
              <Cause view={view} hasJobs={hasJobs} now={now} />
            </div>
            <div>
              <Training view={view} now={now} />
              {basis !== null && (
                <Guards basis={basis} isPast now={now}>
                  <h3>Policy</h3>
                  <p>{describeCondition(basis.policy)}</p>
                  {shadow !== null && (
                    <p>{`The shadow policy says ${shadow.decision}: ${shadow.why}. Nothing followed from it.`}</p>
                  )}
                </Guards>
              )}
            </div>
          </div>
          {basis !== null && (
            <div class="columns">
              <section class="panel">
                <h2>Drift checks in the evidence</h2>
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
                <h2>Buffer in the evidence</h2>
                <BufferTable evidence={basis.evidence} now={now} />
              </section>
            </div>
          )}
          {basis === null && (
            <p class="empty">
              {decision.runId === null
                ? "This row was written by the Airflow DAG, which recorded no evidence."
                : "The evidence and the policy cannot be read: another version recorded them, or they were changed since."}
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

/** Whether the row is what was recorded, or what is wrong with it. */
function Verified({ verification }: { verification: DecisionVerification }) {
  const { faults } = verification;
  if (faults.length === 0)
    return (
      <p class="soft">
        <a href="/verification">{describeVerified(verification)}</a>
      </p>
    );
  return (
    <ul class="tree">
      {faults.map(({ kind, text }) => (
        <li>
          <Badge tone="bad">{kind}</Badge> {text}
        </li>
      ))}
    </ul>
  );
}

/** Whether a job is there; not if Redis does not say so soon. */
async function hasJob(queue: Queue, id: string): Promise<boolean> {
  const job = queue.getJob(id).catch(() => undefined);
  return (await isSettledWithin(job, REDIS_LIMIT_MS)) && (await job) !== undefined;
}
