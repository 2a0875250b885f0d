import {
  type CauseTally,
  describeTally,
  type JudgedTraining,
  tallyByCause,
} from "../../../core/outcome/tally.ts";
import { Table } from "../../parts/table.tsx";

const COUNTS = [
  "trainings",
  "improved",
  "nothing",
  "worse",
  "unknown",
] as const satisfies (keyof CauseTally)[];

/** What a model's trainings brought, by the checks that caused them. */
export function Brought({ trainings }: { trainings: readonly JudgedTraining[] }) {
  if (trainings.length === 0) return <div id="brought" data-part />;
  const tallies = tallyByCause(trainings);
  const useless = tallies.filter(({ nothing, worse }) => nothing + worse > 0);
  return (
    <div id="brought" data-part>
      <section class="panel">
        <h2>What trainings brought</h2>
        {useless.map((tally) => (
          <p>{`${describeTally(tally)}.`}</p>
        ))}
        <Table
          label="What trainings brought"
          columns={["For", ...COUNTS.map((label) => ({ label, isNumber: true }) as const)]}
        >
          {tallies.map((tally) => (
            <tr>
              <th scope="row">{tally.cause}</th>
              {COUNTS.map((name) => (
                <td class="number">{tally[name]}</td>
              ))}
            </tr>
          ))}
        </Table>
      </section>
    </div>
  );
}
