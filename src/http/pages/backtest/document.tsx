import { renderToString } from "preact-render-to-string";
import type { Backtest } from "../../../core/backtest/backtest.ts";
import type { Cadence } from "../../../core/backtest/input.ts";
import { describeCadence } from "../../../core/backtest/report.ts";
import { formatInstant } from "../../../core/format.ts";
import { readAsset } from "../../assets.ts";
import { BacktestResult } from "./result.tsx";

/** A backtest as a page that needs nothing else. */
export function renderBacktestDocument(model: string, result: Backtest & { cadence: Cadence }): string {
  const { from, to, cadence } = result;
  const body = renderToString(
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{`Backtest of ${model}`}</title>
        <style dangerouslySetInnerHTML={{ __html: readAsset("style.css").toString("utf8") }} />
      </head>
      <body>
        <main>
          <h1>{`Backtest of ${model}`}</h1>
          <p class="soft">{`${formatInstant(from)} to ${formatInstant(to)}, ${describeCadence(cadence)}.`}</p>
          <BacktestResult result={result} now={to} />
        </main>
      </body>
    </html>,
  );
  return `<!doctype html>\n${body}\n`;
}
