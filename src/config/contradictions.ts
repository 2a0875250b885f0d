import type { Fault } from "../core/fields.ts";
import { listColumnNeeds, needsOf } from "../core/policy.ts";
import type { Layer } from "./layer.ts";

/** What cannot work although each part of it is right: a policy that needs a column which the source does not have. */
export function findContradictions(layer: Layer): Fault[] {
  return [...findMissingColumns(layer), ...findMissingTimes(layer), ...findIdleDatabase(layer)];
}

function findMissingColumns({ policy, checks, places }: Layer): Fault[] {
  if (checks.kind === "reported") return [];
  const { columns } = checks;
  return listColumnNeeds(policy).flatMap(({ key, place, columns: needed }) =>
    needed
      .filter((column) => columns[column as keyof typeof columns] === null)
      .map((column) => ({
        path: chooseOwn(places[place], places["columns.checks"]),
        message: `${key} needs the ${column} of a check, but source.checks.columns has ${column}: null`,
      })),
  );
}

function findMissingTimes({ policy, buffer, places }: Layer): Fault[] {
  if (buffer.kind === "reported") return [];
  if (buffer.columns.time !== null || buffer.columns.ingestedAt !== null) return [];
  const needing = [
    ...(buffer.since === null ? [] : ["since: lastTraining"]),
    ...(needsOf(policy).waiting ? ["waitingCost"] : []),
  ];
  return needing.map((what) => ({
    path: chooseOwn(what === "waitingCost" ? places["policy.when"] : undefined, places["columns.buffer"]),
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
