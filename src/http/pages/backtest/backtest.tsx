import { findModel } from "../../../config/find-model.ts";
import { describeCadence, describeKnown } from "../../../core/backtest/report.ts";
import { listThresholds } from "../../../core/backtest/thresholds.ts";
import { messageOf, PermanentError } from "../../../core/errors.ts";
import { runBacktest } from "../../../use-cases/backtest.ts";
import { currentConfig } from "../../current-config.ts";
import { oneReplay } from "../../one-replay.ts";
import { Breadcrumb } from "../../parts/breadcrumb.tsx";
import { modelPath } from "../../parts/links.tsx";
import type { Page } from "../page.ts";
import { findCandidate } from "./candidate.ts";
import { Faults, PeriodFields } from "./period-fields.tsx";
import { readReplayQuery } from "./replay-query.ts";
import { BacktestResult } from "./result.tsx";

/** A model's policy replayed over its history, beside the same with other thresholds. */
export const backtestPage: Page = {
  path: "/models/:model/backtest",
  role: "operator",
  requires: ["postgres"],
  async load({ params: { model = "" }, query, now }, dependencies) {
    const config = currentConfig(dependencies);
    const { policy } = findModel(config.models, model);
    const { since, cadence, faults } = readReplayQuery(query);
    const { candidate, faults: policyFaults, changed } = findCandidate(policy, query);
    const { database } = dependencies;
    const request = { model, candidate, since, cadence };
    const result = await oneReplay(() => runBacktest({ ...config, database }, request)).catch(explainToForm);
    const isFound = typeof result === "object";
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
            {`The policy in force, replayed over the last ${since}${isFound ? `, ${describeCadence(result.cadence)}${describeKnown(result)}` : ""}. Change a threshold to see what it would have done. Nothing is changed in the settings. `}
            <a href={`${path}/tune`}>Tune: try many at once</a>
          </p>
          <Faults faults={[...faults, ...policyFaults, ...(isFound ? [] : [result])]} />
          <form class="filter thresholds" role="search">
            <PeriodFields query={query} since={since} />
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
          {isFound && <BacktestResult result={result} now={now} />}
        </>
      ),
    };
  },
};

/** What the user can mend in the form: another period. Everything else is a problem of its own. */
export function explainToForm(error: unknown): string {
  if (error instanceof PermanentError && ["NO_HISTORY", "TOO_MUCH_HISTORY"].includes(error.code))
    return messageOf(error);
  throw error;
}
