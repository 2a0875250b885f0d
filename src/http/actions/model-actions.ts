import { z } from "zod";
import { findModel } from "../../config/find-model.ts";
import { parseInput } from "../../core/parse.ts";
import { snoozeModel, unsnoozeModel, withLiveModels } from "../../use-cases/interventions.ts";
import { requestDecision } from "../../use-cases/request-decision.ts";
import { ReasonBody, SnoozeBody } from "../api/schemas.ts";
import type { Action, PageDependencies } from "../pages/page.ts";
import { modelPath } from "../parts/links.tsx";

const SHARED = { role: "operator", requires: ["postgres", "redis writes"] } as const;

const Nothing = z.strictObject({});

/** What forms do about models. */
export const modelActions: readonly Action[] = [
  {
    ...SHARED,
    path: "/models/:model/decide",
    async run({ params: { model = "" }, fields }, dependencies) {
      parseInput(Nothing, fields, "form");
      return decide(dependencies, model, null);
    },
  },
  {
    ...SHARED,
    path: "/models/:model/force",
    async run({ params: { model = "" }, fields, caller }, dependencies) {
      const { reason } = parseInput(ReasonBody, fields, "form");
      return decide(dependencies, model, { by: caller.name, reason });
    },
  },
  {
    ...SHARED,
    path: "/models/:model/snooze",
    async run({ params: { model = "" }, fields, caller }, dependencies) {
      const given = parseInput(SnoozeBody, fields, "form");
      const own = { duration: given.for, by: caller.name, reason: given.reason };
      await snoozeModel(withLiveModels(dependencies), model, own);
      return { redirect: `${modelPath(model)}?done=snoozed` };
    },
  },
  {
    ...SHARED,
    path: "/models/:model/unsnooze",
    async run({ params: { model = "" }, caller }, dependencies) {
      await unsnoozeModel(withLiveModels(dependencies), model, caller.name);
      return { redirect: `${modelPath(model)}?done=unsnoozed` };
    },
  },
];

async function decide(
  { live, database, client }: PageDependencies,
  model: string,
  forced: { by: string; reason: string } | null,
): Promise<{ redirect: string }> {
  findModel(live.models(), model);
  const jobId = await requestDecision({ database, client }, model, forced);
  return { redirect: `/requests/${jobId}` };
}
