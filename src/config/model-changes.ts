import { isDeepStrictEqual } from "node:util";
import type { ModelConfig } from "./model-config.ts";

type Models = ReadonlyMap<string, ModelConfig>;

/** What differs between the settings before and after a reload, by the names of models. */
export interface ModelChanges {
  added: string[];
  changed: string[];
  removed: string[];
  /** Those of the changed whose verdict may be another one now, so that the latest decision's `nextLookAt` is out of date. */
  rejudged: string[];
  /** Those of the changed and the removed that have another trainer now, or none. */
  retrained: string[];
}

export function compareModels(before: Models, after: Models): ModelChanges {
  const kept = [...before].flatMap(([model, old]) => {
    const next = after.get(model);
    return next ? [{ model, old, next }] : [];
  });
  const differing = (keys: readonly (keyof ModelConfig)[]): string[] =>
    kept
      .filter(({ old, next }) => keys.some((key) => !isDeepStrictEqual(old[key], next[key])))
      .map(({ model }) => model);
  const removed = [...before.keys()].filter((model) => !after.has(model));
  return {
    added: [...after.keys()].filter((model) => !before.has(model)),
    changed: differing(ALL),
    removed,
    rejudged: differing(JUDGED),
    retrained: [...differing(["trainer"]), ...removed],
  };
}

const JUDGED = ["policy", "source", "expectDriftRunEveryMs"] as const satisfies (keyof ModelConfig)[];
const ALL = [
  ...JUDGED,
  "shadow",
  "schedule",
  "spreadMs",
  "trainer",
  "outcomes",
  "settingNames",
] as const satisfies (keyof ModelConfig)[];
