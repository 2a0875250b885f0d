import type { Fault } from "../core/fields.ts";
import { listColumnNeeds, needsOf } from "../core/policy.ts";
import type { Layer } from "./layer.ts";

/** What cannot work although each part of it is right: a policy that needs a column which the source does not have. */
export function findContradictions(layer: Layer): Fault[] {
  return [...findMissingColumns(layer), ...findMissingTimes(layer), ...findIdleDatabase(layer)];
}

function findMissingColumns({ policy, shadow, checks, places }: Layer): Fault[] {
  if (checks.kind === "reported") return [];
  const { columns } = checks;
  const own = listColumnNeeds(policy);
  const shadows = (shadow ? listColumnNeeds(shadow.policy) : []).filter(
    ({ key }) => !own.some((need) => need.key === key),
  );
  const needs = [
    ...own.map((need) => ({ ...need, at: places[need.place] })),
    ...shadows.map((need) => ({ ...need, at: shadow?.path })),
  ];
  return needs.flatMap(({ key, at, columns: needed }) =>
    needed
      .filter((column) => columns[column as keyof typeof columns] === null)
      .map((column) => ({
        path: chooseOwn(at, places["columns.checks"]),
        message: `${key} needs the ${column} of a check, but source.checks.columns has ${column}: null`,
      })),
  );
}

function findMissingTimes({ policy, shadow, buffer, places }: Layer): Fault[] {
  if (buffer.kind === "reported") return [];
  if (buffer.columns.time !== null || buffer.columns.ingestedAt !== null) return [];
  const waitsAt = [
    ...(needsOf(policy).waiting ? [places["policy.when"]] : []),
    ...(shadow !== null && needsOf(shadow.policy).waiting ? [shadow.path] : []),
  ];
  const needing = [
    ...(buffer.since === null ? [] : [{ what: "since: lastTraining", at: undefined }]),
    ...waitsAt.slice(0, 1).map((at) => ({ what: "waitingCost", at })),
  ];
  return needing.map(({ what, at }) => ({
    path: chooseOwn(at, places["columns.buffer"]),
    message: `${what} needs to know when a row came, but source.buffer.columns has time: null and ingestedAt: null`,
  }));
}

function findIdleDatabase({ checks, buffer, database, places }: Layer): Fault[] {
  if (database === null || checks.kind === "table" || buffer.kind === "table") return [];
  return [
    {
      path: chooseOwn(places["source.checks"], places["source.buffer"]),
      message: `source.database has no effect, because checks and buffer are both reported: remove it`,
    },
  ];
}

/** The place in the model's own section, if one of them is there. */
function chooseOwn(...places: readonly (Fault["path"] | undefined)[]): Fault["path"] {
  const known = places.filter((place) => place !== undefined);
  return known.find(([section]) => section === "models") ?? known[0] ?? [];
}
