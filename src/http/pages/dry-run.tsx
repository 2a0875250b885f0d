import { dryRun } from "../../use-cases/dry-run.ts";
import { modelPath } from "../parts/links.tsx";
import type { Page } from "./page.ts";
import { Breadcrumb } from "../parts/breadcrumb.tsx";

/** What would be decided about a model now. Records and sends nothing. */
export const dryRunPage: Page = {
  path: "/models/:model/dry-run",
  role: "operator",
  requires: ["postgres"],
  async load({ params: { model = "" } }, { config, live, secrets, database }) {
    const own = { ...config, models: live.models(), secrets, notes: [] };
    const summary = await dryRun({ config: own, database, model });
    const isTrigger = summary.decision !== "no_action";
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
          <p class="lead">
            {isTrigger ? "It would trigger now. " : "It would not trigger now. "}
            Nothing was recorded, and nothing was sent.
          </p>
          <pre class="panel" tabIndex={0}>
            {summary.report}
          </pre>
        </>
      ),
    };
  },
};
