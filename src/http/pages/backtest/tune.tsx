import { formatDays } from "../../../core/backtest/report.ts";
import { describeTrial, listShown } from "../../../core/backtest/tune-report.ts";
import { formatCount, formatRatio } from "../../../core/format.ts";
import type { Tuning } from "../../../core/backtest/tune.ts";
import { runTune } from "../../../use-cases/backtest.ts";
import { currentConfig } from "../../current-config.ts";
import { oneReplay } from "../../one-replay.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { modelPath, withQuery } from "../../parts/links.tsx";
import { Table } from "../../parts/table.tsx";
import type { Page } from "../page.ts";
import { explainToForm } from "./backtest.tsx";
import { FrontChart } from "./front.tsx";
import { Faults, PeriodFields } from "./period-fields.tsx";
import { readReplayQuery } from "./replay-query.ts";

/** Other thresholds for a model's policy, tried over its history. */
export const tunePage: Page = {
  path: "/models/:model/tune",
  role: "operator",
  requires: ["postgres"],
  async load({ params: { model = "" }, query }, dependencies) {
    const config = currentConfig(dependencies);
    const { database } = dependencies;
    const { since, cadence, faults } = readReplayQuery(query);
    const tuning = await oneReplay(() => runTune({ ...config, database }, { model, since, cadence })).catch(
      explainToForm,
    );
    const path = modelPath(model);
    return {
      title: `Tune · ${model}`,
      body: (
        <>
          <Breadcrumb
            links={[
              ["Models", "/"],
              [model, path],
              ["Backtest", `${path}/backtest`],
            ]}
          />
          <h1>Tune</h1>
          <p class="soft">
            Each threshold is varied alone, then the three that matter most together. Nothing is changed.
          </p>
          <Faults faults={[...faults, ...(typeof tuning === "string" ? [tuning] : [])]} />
          <form class="filter" role="search">
            <PeriodFields query={query} since={since} />
            <button class="main">Tune</button>
          </form>
          {typeof tuning === "object" && <TuningResult tuning={tuning} path={path} since={since} />}
        </>
      ),
    };
  },
};

function TuningResult({ tuning, path, since }: { tuning: Tuning; path: string; since: string }) {
  return (
    <>
      <p>{`${formatCount(tuning.trials.length)} policies, replayed over the last ${since}. Those on the line are beaten by no other one: fewer trainings only at the price of more unanswered drift.`}</p>
      <section class="panel">
        <div class="scroll" tabIndex={0} role="region" aria-label="Chart">
          <FrontChart tuning={tuning} />
        </div>
      </section>
      <section class="panel">
        <Table
          label="Policies that no other one beats, and the one in force"
          columns={[
            "Thresholds",
            { label: "Trainings", isNumber: true },
            { label: "A month", isNumber: true },
            { label: "Drift unanswered", isNumber: true },
            { label: "Brought nothing", isNumber: true },
            "",
          ]}
        >
          {listShown(tuning.trials).map((trial) => (
            <tr>
              <td>{describeTrial(trial)}</td>
              <td class="number">{formatCount(trial.measures.trainings)}</td>
              <td class="number">{formatRatio(trial.measures.perMonth)}</td>
              <td class="number">{formatDays(trial.measures.unansweredDays)}</td>
              <td class="number">{formatCount(trial.broughtNothing)}</td>
              <td>
                <a
                  href={withQuery(`${path}/backtest`, {
                    since,
                    ...Object.fromEntries(trial.changes.map((one) => [one.path, String(one.value)])),
                  })}
                >
                  Compare
                </a>
              </td>
            </tr>
          ))}
        </Table>
      </section>
      {tuning.unknowns.length > 0 && (
        <section class="panel">
          <h2>What a replay cannot know</h2>
          <ul>
            {tuning.unknowns.map(({ text }) => (
              <li>{text}</li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
