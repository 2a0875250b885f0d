import { z } from "zod";
import { parseInput } from "../../core/parse.ts";
import { decisionPath } from "../parts/links.tsx";
import { RequestError } from "../request-error.ts";
import type { Page } from "./page.ts";

/** The decision of a run, for the links of its jobs. */
export const runPage: Page = {
  path: "/runs/:runId",
  role: "viewer",
  requires: ["postgres"],
  async load({ params }, { database }) {
    const { runId } = parseInput(z.object({ runId: z.uuid() }), params, "path");
    const id = await database.findDecisionOfRun(runId);
    if (id === null)
      throw new RequestError(
        404,
        "This run has made no decision: it is under way, has failed or was superseded",
        "NOT_FOUND",
      );
    return { redirect: decisionPath(id) };
  },
};
