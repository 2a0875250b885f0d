import { z } from "zod";
import { ModelName } from "./jobs.ts";

/** The model that a job is about, from its data, which is not validated yet. */
export function findJobModel(data: unknown): string {
  const { model } = (data ?? {}) as { model?: unknown };
  // Nearly every job: a hot path.
  if (typeof model === "string" && ModelName.safeParse(model).success) return model;
  const named = NamesModel.safeParse(data).data;
  return ModelName.catch("default").parse(named?.notification?.model ?? named?.model);
}

const WithModel = z.object({ model: z.unknown() }).partial();
const NamesModel = WithModel.extend({ notification: WithModel.optional().catch(undefined) });
