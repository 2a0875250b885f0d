import type { ModelConfig } from "../config/model-config.ts";
import { wouldTrigger } from "../core/judge.ts";
import { type Standing, standingOf, STANDINGS } from "../core/standing.ts";
import type { Database } from "../postgres/database.ts";
import type { ModelFacts, ModelFigures } from "../postgres/pages/standings.ts";
import { parseRecorded } from "./recorded-basis.ts";

/** A model and where it stands. */
export interface ModelStanding {
  model: string;
  standing: Standing;
  facts: ModelFacts;
}

/** A model with the figures that a row of the overview shows. */
export interface ModelRow extends ModelStanding {
  figures: ModelFigures;
  unit: string;
}

const RANKS = new Map(Object.keys(STANDINGS).map((standing, rank) => [standing, rank]));

/** Where each model stands by its records: those that need a person first, then by name. */
export async function listStandings(
  database: Pick<Database, "listModelFacts">,
  models: ReadonlyMap<string, Pick<ModelConfig, "expectDriftRunEveryMs">>,
): Promise<ModelStanding[]> {
  const expected = new Map(
    [...models].map(([model, { expectDriftRunEveryMs }]) => [model, expectDriftRunEveryMs !== null]),
  );
  const facts = await database.listModelFacts(expected);
  return facts
    .map((own) => ({ model: own.model, standing: standingOf({ ...own, isReady: false }), facts: own }))
    .toSorted((a, b) => rankOf(a) - rankOf(b) || (a.model < b.model ? -1 : 1));
}

const rankOf = ({ standing }: ModelStanding): number => RANKS.get(standing) ?? RANKS.size;

/** The rows of some models, in their order. A due model is `ready` if its recorded evidence would trigger by now. */
export async function describeRows(
  database: Pick<Database, "listModelFigures" | "listBases">,
  models: ReadonlyMap<string, Pick<ModelConfig, "source">>,
  listed: readonly ModelStanding[],
  now: number,
): Promise<ModelRow[]> {
  const [known, ready] = await Promise.all([
    database.listModelFigures(listed.map(({ model }) => model)),
    findReady(database, listed, now),
  ]);
  const figures = new Map(known.map((own) => [own.model, own]));
  return listed.map((own) => ({
    ...own,
    standing: standingOf({ ...own.facts, isReady: ready.has(own.model) }),
    figures: figures.get(own.model) ?? {
      model: own.model,
      why: null,
      flip: null,
      buffer: null,
      points: [],
    },
    unit: models.get(own.model)?.source.buffer.unit ?? "rows",
  }));
}

/** The due models whose latest evidence would trigger by now. */
async function findReady(
  database: Pick<Database, "listBases">,
  listed: readonly ModelStanding[],
  now: number,
): Promise<Set<string>> {
  const due = new Map(
    listed.flatMap(({ model, standing, facts: { latest } }) =>
      standing === "due" && latest?.decision === "no_action" ? [[latest.id, model] as const] : [],
    ),
  );
  if (due.size === 0) return new Set();
  const bases = await database.listBases([...due.keys()]);
  return new Set(
    bases.flatMap((recorded) => {
      const basis = parseRecorded(recorded);
      const isReady = basis !== null && wouldTrigger(basis.evidence, basis.policy, now);
      return isReady ? [due.get(recorded.id) ?? ""] : [];
    }),
  );
}
