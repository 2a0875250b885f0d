import { STAGES } from "../../../../queues/names.ts";
import { formatScore } from "../../../core/format.ts";
import { type DecisionView } from "../../../use-cases/decision-view.ts";
import { DecisionLink } from "../../parts/links.tsx";
import { Time } from "../../parts/time.tsx";

const CAUSES: Readonly<Record<string, string>> = {
  event: "a drift run ended",
  schedule: "the schedule",
  manual: "a person or a program requested it",
  followup: "a follow-up that the service itself requested",
};

function describeApproval({
  isOpen,
  state,
  by,
  reason,
}: NonNullable<DecisionView["trail"]["approval"]>): string {
  if (isOpen) return "open until ";
  // A request that is still open has expired; one that was used was approved before.
  const outcome = { open: "expired", used: "approved" }[state] ?? state;
  return `${outcome}${by === null ? "" : ` by ${by}`}${reason === null ? "" : ` (${reason})`}`;
}

/** Why a decision was made, what it covers, and what people did about it. */
export function Cause({
  view: { decision, trail },
  hasJobs,
  now,
}: {
  view: DecisionView;
  /** Whether its jobs are still kept. */
  hasJobs: boolean;
  now: number;
}) {
  const { approval, audit } = trail;
  const forced = decision.forced as { by: string; reason: string } | null;
  return (
    <section id="cause" data-part class="panel">
      <h2>Cause</h2>
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
              {hasJobs && (
                <>
                  <br />
                  Jobs:{" "}
                  {STAGES.map((stage, index) => (
                    <>
                      {index > 0 && " · "}
                      <a href={`/queues/queue/${stage}/${decision.runId}`}>{stage}</a>
                    </>
                  ))}
                </>
              )}
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
            <Time at={approval.requestedAt} now={now} />: {describeApproval(approval)}
            {approval.isOpen && <Time at={approval.expiresAt} now={now} />}
            {approval.settledBy !== null && approval.settledBy !== decision.id && (
              <>
                ; then decision <DecisionLink id={approval.settledBy} /> followed
              </>
            )}
            .
          </p>
        </>
      )}
      <h3>Actions</h3>
      {audit.length === 0 ? (
        <p class="soft">No actions recorded.</p>
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
