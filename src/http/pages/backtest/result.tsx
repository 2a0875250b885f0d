import type { Backtest, Difference } from "../../../core/backtest/backtest.ts";
import { describeReason, MEASURES, WENT } from "../../../core/backtest/report.ts";
import { formatCount } from "../../../core/format.ts";
import { DecisionLink } from "../../parts/links.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { FiringsChart } from "./firings-chart.tsx";

/** So many entries of a list are shown. */
const SHOWN = 100;

/** What a backtest found. */
export function BacktestResult({ result, now }: { result: Backtest; now: number }) {
  const { inForce, candidate, gained, lost, reproduction, unknowns } = result;
  const policies = [inForce, ...(candidate ? [candidate] : [])];
  return (
    <>
      <section class="panel">
        <h2>What they come to</h2>
        <p>{`In force: ${inForce.policy}`}</p>
        {candidate !== null && <p>{`Candidate: ${candidate.policy}`}</p>}
        <Table
          label="Measures"
          columns={[
            "",
            { label: "In force", isNumber: true },
            ...(candidate ? [{ label: "Candidate", isNumber: true } as const] : []),
          ]}
        >
          {MEASURES.map(({ label, of }) => (
            <tr>
              <th scope="row">{label}</th>
              {policies.map(({ measures }) => (
                <td class="number">{of(measures) ?? "unknown"}</td>
              ))}
            </tr>
          ))}
        </Table>
        <div class="scroll" tabIndex={0} role="region" aria-label="Chart">
          <FiringsChart result={result} />
        </div>
        {candidate !== null && (
          <p class="soft">Each circle is a training; a filled one is of that policy alone.</p>
        )}
      </section>
      {candidate !== null && (
        <div class="columns">
          <Differences
            title="Gained by the candidate"
            other="The policy in force did not"
            differences={gained}
            now={now}
          />
          <Differences
            title="Lost by the candidate"
            other="The candidate did not"
            differences={lost}
            now={now}
          />
        </div>
      )}
      <div class="columns">
        <section class="panel">
          <h2>{candidate === null ? "Trainings" : "Trainings of the candidate"}</h2>
          <Firings policy={candidate ?? inForce} now={now} />
        </section>
        <section class="panel">
          <h2>How far to trust it</h2>
          {reproduction !== null && (
            <p>{`The policy in force reproduces ${formatCount(reproduction.reproduced)} of ${formatCount(reproduction.recorded)} recorded decisions.`}</p>
          )}
          <ul>
            {reproduction?.exceptions.slice(0, SHOWN).map((exception) => (
              <li>
                <DecisionLink id={exception.id} />{" "}
                {`was ${exception.recorded}, replayed ${exception.replayed}: ${exception.because}.`}
              </li>
            ))}
            {unknowns.map(({ text }) => (
              <li>{text}</li>
            ))}
          </ul>
          {reproduction === null && unknowns.length === 0 && <p>Nothing had to be assumed.</p>}
        </section>
      </div>
    </>
  );
}

function Firings({ policy: { firings }, now }: { policy: Backtest["inForce"]; now: number }) {
  if (firings.length === 0) return <p>It would not have trained.</p>;
  return (
    <ol class="plain">
      {firings.slice(-SHOWN).map(({ at, why, recordedId, result }) => (
        <li>
          <Time at={new Date(at).toISOString()} now={now} />: {why}{" "}
          {recordedId !== null && <DecisionLink id={recordedId} />}
          {WENT[result]}
        </li>
      ))}
    </ol>
  );
}

function Differences({
  title,
  other,
  differences,
  now,
}: {
  title: string;
  other: string;
  differences: readonly Difference[];
  now: number;
}) {
  return (
    <section class="panel">
      <h2>{`${title}: ${formatCount(differences.length)}`}</h2>
      <ol class="plain">
        {differences.slice(0, SHOWN).map((difference) => (
          <li>
            <Time at={new Date(difference.at).toISOString()} now={now} />: {difference.why}
            <small>{`${other}: ${describeReason(difference)}`}</small>
          </li>
        ))}
      </ol>
    </section>
  );
}
