import { duration } from "../../../core/duration.ts";
import { describeCadence } from "../../../core/backtest/report.ts";
import { listThresholds } from "../../../core/backtest/thresholds.ts";
import { findModel } from "../../../config/find-model.ts";
import { runBacktest } from "../../../use-cases/backtest.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { modelPath } from "../../parts/links.tsx";
import { currentConfig } from "../../current-config.ts";
import { oneReplay } from "../../one-replay.ts";
import type { Page } from "../page.ts";
import { BacktestResult } from "./result.tsx";
import { findCandidate } from "./candidate.ts";

/** A model's policy replayed over its history, beside the same with other thresholds. */
export const backtestPage: Page = {
  path: "/models/:model/backtest",
  role: "operator",
  requires: ["postgres"],
  async load({ params: { model = "" }, query, now }, dependencies) {
    const config = currentConfig(dependencies);
    const { policy } = findModel(config.models, model);
    const since = duration("1h").safeParse(query["since"]).data ?? "60d";
    const { candidate, faults, changed } = findCandidate(policy, query);
    const result = await oneReplay(() =>
      runBacktest({ ...config, database: dependencies.database }, { model, candidate, since, cadence: null }),
    );
    const path = modelPath(model);
    return {
      title: `Backtest · ${model}`,
      body: (
        <>
          <Breadcrumb
            links={[
              ["Models", "/"],
              [model, path],
            ]}
          />
          <h1>Backtest</h1>
          <p class="soft">
            {`The policy in force, replayed over the last ${since}, ${describeCadence(result.cadence)}. Change a threshold to see what it would have done. Nothing is changed in the settings. `}
            <a href={`${path}/tune`}>Try many at once</a>
          </p>
          {faults.map((fault) => (
            <p class="notice" role="alert">
              {fault}
            </p>
          ))}
          <form class="filter thresholds" role="search">
            <label>
              Last <input name="since" value={since} size={6} required title="A duration such as 90d" />
            </label>
            {listThresholds(policy).map(({ path: name, value }) => (
              <label>
                <code>{name}</code>{" "}
                <input
                  name={name}
                  value={changed.get(name) ?? value}
                  size={8}
                  autocomplete="off"
                  placeholder={String(value)}
                />
              </label>
            ))}
            <button class="main">Replay</button>
            <a href={`${path}/backtest`}>Reset</a>
          </form>
          <BacktestResult result={result} now={now} />
        </>
      ),
    };
  },
};
