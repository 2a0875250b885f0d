import { currentConfig } from "../current-config.ts";
import { dryRun } from "../../use-cases/dry-run.ts";
import { AnswerPanel, describeNearestFlip } from "../parts/answer.tsx";
import { modelPath } from "../parts/links.tsx";
import type { Page } from "./page.ts";
import { Breadcrumb } from "../parts/breadcrumb.tsx";

/** What would be decided about a model now. Records and sends nothing. */
export const dryRunPage: Page = {
  path: "/models/:model/dry-run",
  role: "operator",
  requires: ["postgres"],
  async load({ params: { model = "" }, now }, dependencies) {
    const { database } = dependencies;
    const summary = await dryRun({ config: currentConfig(dependencies), database, model });
    const isTrigger = summary.decision !== "no_action";
    const why = summary.explanation?.why ?? summary.reason;
    return {
      title: `Dry run · ${model}`,
      tone: isTrigger ? "busy" : "calm",
      body: (
        <>
          <Breadcrumb
            links={[
              ["Models", "/"],
              [model, modelPath(model)],
            ]}
          />
          <h1>Dry run</h1>
          <AnswerPanel
            answer={{
              tone: isTrigger ? "busy" : "calm",
              label: isTrigger ? "Would trigger now" : "Would not trigger now",
              sentence: isTrigger ? `It would be retrained: ${why}.` : `It would not be retrained: ${why}.`,
              details: ["Nothing was recorded, and nothing was sent."],
            }}
            flip={isTrigger ? null : describeNearestFlip(summary.explanation, false)}
            now={now}
          />
          <details class="data panel">
            <summary>The report that a decision would print</summary>
            <pre tabIndex={0}>{summary.report}</pre>
          </details>
        </>
      ),
    };
  },
};
