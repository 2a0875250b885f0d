import { z } from "zod";
import { parseInput } from "../parse.ts";
import { PROMOTION } from "./outcome.ts";

// Postgres cannot store NUL or lone surrogates.
const Text = z.string().regex(/^[^\p{Cs}\0]*$/u, "must not contain NUL or lone surrogates");
const Name = Text.min(1, "must not be empty").max(500, "must have at most 500 characters");
const Tags = z.record(Text, Text).nullish();

/** An event of MLflow's model registry: what happened to which version of which registered model. */
export const RegistryEvent = z.object({
  entity: Name,
  action: Name,
  data: z.looseObject({}),
});
export type RegistryEvent = z.infer<typeof RegistryEvent>;

const VersionData = z.object({ name: Name, version: z.union([Name, z.int().transform(String)]) });
const CreatedData = VersionData.extend({ tags: Tags });
const TagData = VersionData.extend({ key: Name, value: Text });
const AliasData = VersionData.extend({ alias: Name });

/** What an event says about a version. */
export interface VersionNews {
  registeredModel: string;
  version: string;
  /** Only Retrigger's own. */
  tags: Record<string, string>;
  isCreated: boolean;
  isPromoted: boolean;
}

/** Aliases of the version that is in use. */
const PROMOTING = ["champion", "production", "prod"];

const PREFIX = "retrigger.";

/** Reads an event; null if it says nothing about what a training brought. @throws PermanentError if its data lacks a field. */
export function readRegistryEvent({ entity, action, data }: RegistryEvent): VersionNews | null {
  switch (`${entity}.${action}`) {
    case "model_version.created": {
      const { name, version, tags } = parseInput(CreatedData, data, "event");
      return toNews(name, version, { tags: tags ?? {}, isCreated: true });
    }
    case "model_version_tag.set": {
      const { name, version, key, value } = parseInput(TagData, data, "event");
      return key.startsWith(PREFIX) ? toNews(name, version, { tags: { [key]: value } }) : null;
    }
    case "model_version_alias.created": {
      const { name, version, alias } = parseInput(AliasData, data, "event");
      return PROMOTING.includes(alias.toLowerCase()) ? toNews(name, version, { isPromoted: true }) : null;
    }
    default:
      return null;
  }
}

function toNews(
  registeredModel: string,
  version: string,
  { tags = {}, isCreated = false, isPromoted = false }: Partial<VersionNews>,
): VersionNews {
  const own = Object.entries(tags).filter(([key]) => key.startsWith(PREFIX));
  return { registeredModel, version, tags: Object.fromEntries(own), isCreated, isPromoted };
}

/** The training that the tags of a version name, as they name it; null if they name none. */
export function findNamedTraining(
  tags: Readonly<Record<string, string>>,
): { run: string } | { decision: string } | null {
  const { "retrigger.run_id": run, "retrigger.decision_id": decision } = tags;
  if (run !== undefined) return { run: run.trim() };
  return decision === undefined ? null : { decision: decision.trim() };
}

/** What the tags and the alias of a version report about its training; a report lists figures as they are written. */
export function listVersionReports({
  tags,
  isPromoted,
}: Pick<VersionNews, "tags" | "isPromoted">): Record<string, unknown>[] {
  const metrics = new Map<string, Record<string, unknown>>();
  for (const [key, value] of Object.entries(tags)) {
    const [, metric, part] = /^retrigger\.metric\.(.+)\.(before|after|direction)$/.exec(key) ?? [];
    if (metric === undefined || part === undefined) continue;
    const text = value.trim();
    const figure = text === "" ? Number.NaN : Number(text);
    const given = part !== "direction" && Number.isFinite(figure) ? figure : text;
    metrics.set(metric, { ...metrics.get(metric), metric, [part]: given });
  }
  // A direction alone says nothing yet: the figures follow.
  const reports = [...metrics.values()].filter((report) => "before" in report || "after" in report);
  return isPromoted ? [...reports, { metric: PROMOTION, promoted: true }] : reports;
}
