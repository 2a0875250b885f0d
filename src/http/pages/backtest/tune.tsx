import { duration } from "../../../core/duration.ts";
import { describeTrial } from "../../../core/backtest/tune-report.ts";
import { formatCount, formatRatio } from "../../../core/format.ts";
import { runTune } from "../../../use-cases/backtest.ts";
import { currentConfig } from "../../current-config.ts";
import { oneReplay } from "../../one-replay.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { modelPath, withQuery } from "../../parts/links.tsx";
import { Table } from "../../parts/table.tsx";
import type { Page } from "../page.ts";
import { FrontChart } from "./front.tsx";

/** Other thresholds for a model's policy, tried over its history. */
export const tunePage: Page = {
  path: "/models/:model/tune",
  role: "operator",
  requires: ["postgres"],
  async load({ params: { model = "" }, query }, dependencies) {
    const config = currentConfig(dependencies);
    const since = duration("1h").safeParse(query["since"]).data ?? "60d";
    const tuning = await oneReplay(() =>
      runTune({ ...config, database: dependencies.database }, { model, since, cadence: null }),
    );
    const shown = tuning.trials.filter((trial) => trial.isOnFront || trial.changes.length === 0);
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
          <p class="soft">{`${formatCount(tuning.trials.length)} policies, replayed over the last ${since}. Those on the line are beaten by no other one: fewer trainings only at the price of more unanswered drift. Nothing is changed.`}</p>
          <section class="panel">
            <FrontChart tuning={tuning} />
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
              {shown.map((trial) => (
                <tr>
                  <td>{describeTrial(trial)}</td>
                  <td class="number">{formatCount(trial.outcome.trainings)}</td>
                  <td class="number">{formatRatio(trial.outcome.perMonth)}</td>
                  <td class="number">{`${trial.outcome.unansweredDays.toFixed(1)} days`}</td>
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
        </>
      ),
    };
  },
};
