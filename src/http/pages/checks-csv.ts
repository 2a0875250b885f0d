import { findModel } from "../../config/find-model.ts";
import { toCsv } from "../../core/csv.ts";
import { SHOWN_CHECKS } from "../../use-cases/model-view.ts";
import type { Page } from "./page.ts";
import { findRange } from "./range.ts";

/** The checks that the chart of a model shows, as CSV. */
export const checksCsv: Page = {
  path: "/models/:model/checks.csv",
  role: "viewer",
  requires: ["postgres"],
  async load({ params: { model = "" }, query }, { live, reader }) {
    const { seconds } = findRange(query["range"]);
    const filter = { seconds, feature: query["feature"] ?? null, limit: SHOWN_CHECKS };
    const checks = await reader.readChecks(model, findModel(live.models(), model), filter);
    return {
      name: `${model}-checks.csv`,
      csv: toCsv(["at", "feature", "score", "threshold", "triggered"], checks),
    };
  },
};
