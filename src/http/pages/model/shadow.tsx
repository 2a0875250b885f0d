import { describeAgreement, describeShadowLimits } from "../../../core/report/shadow.ts";
import type { Disagreement, ShadowReport } from "../../../core/shadow-report.ts";
import { DecisionLink } from "../../parts/links.tsx";
import { Time } from "../../parts/time.tsx";

/** How far the shadow policy agrees with the decisions of the range. Nothing for a model that has none. */
export function Shadow({ report, now }: { report: ShadowReport; now: number }) {
  const { shadow, decisions, disagreements, since } = report;
  return (
    <div id="shadow" data-part>
      {(shadow !== null || decisions > 0) && (
        <section class="panel">
          <h2>Shadow policy</h2>
          <p>{shadow ?? "None is in force now."}</p>
          <p>
            {decisions === 0
              ? `It has been judged beside no decision of the last ${since} yet.`
              : `${describeAgreement(report)}, in the last ${since}.`}
          </p>
          {disagreements.length > 0 && (
            <ul>
              {disagreements.map((each) => (
                <Difference disagreement={each} now={now} />
              ))}
            </ul>
          )}
          <p class="soft">{describeShadowLimits(report.model)}</p>
        </section>
      )}
    </div>
  );
}

function Difference({ disagreement, now }: { disagreement: Disagreement; now: number }) {
  const { count, firstId, lastId, from, to, decided, shadow } = disagreement;
  return (
    <li>
      <DecisionLink id={firstId} />
      {count > 1 && (
        <>
          {" to "}
          <DecisionLink id={lastId} />
          {`, ${count} decisions, `}
          <Time at={from} now={now} distance="none" />
          {" to "}
        </>
      )}{" "}
      <Time at={to} now={now} />
      <br />
      {`Decided ${decided.decision}: ${decided.why ?? decided.reason}.`}
      <br />
      {`The shadow says ${shadow.decision}: ${shadow.why ?? shadow.reason}.`}
    </li>
  );
}
