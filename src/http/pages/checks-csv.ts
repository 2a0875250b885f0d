import { findModel } from "../../config/find-model.ts";
import { readChecks } from "../../use-cases/model-view.ts";
import { toCsv } from "../csv.ts";
import { RequestError } from "../request-error.ts";
import type { Page } from "./page.ts";
import { findRange } from "./range.ts";

/** The checks that the chart of a model shows, as CSV. */
export const checksCsv: Page = {
  path: "/models/:model/checks.csv",
  role: "viewer",
  requires: ["postgres"],
  async load({ params: { model = "" }, query }, { live, database }) {
    const { seconds } = findRange(query["range"]);
    const filter = { seconds, feature: query["feature"] ?? null };
    const { checks, checksProblem } = await readChecks(
      database,
      model,
      findModel(live.models(), model),
      filter,
    );
    if (checksProblem !== null) throw new RequestError(409, checksProblem, "SOURCE");
    return {
      name: `${model}-checks.csv`,
      csv: toCsv(["at", "feature", "score", "threshold", "triggered"], checks),
    };
  },
};
