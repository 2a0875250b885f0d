import type { ModelConfig } from "../config/model-config.ts";
import { Evidence } from "../core/evidence.ts";
import { wouldTrigger } from "../core/judge.ts";
import { Policy } from "../core/policy.ts";
import { type Standing, standingOf, STANDINGS } from "../core/standing.ts";
import type { Database } from "../postgres/database.ts";
import type { ModelFacts, ModelFigures } from "../postgres/pages/standings.ts";

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

const ORDER = Object.keys(STANDINGS);

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
    .toSorted(
      (a, b) => ORDER.indexOf(a.standing) - ORDER.indexOf(b.standing) || (a.model < b.model ? -1 : 1),
    );
}

/** The rows of some models, in their order. A due model is `ready` if its recorded evidence would trigger by now. */
export async function describeRows(
  database: Pick<Database, "listModelFigures" | "readDecision">,
  models: ReadonlyMap<string, Pick<ModelConfig, "source">>,
  listed: readonly ModelStanding[],
  now: number,
): Promise<ModelRow[]> {
  const figures = new Map(
    (await database.listModelFigures(listed.map(({ model }) => model))).map((own) => [own.model, own]),
  );
  return Promise.all(
    listed.map(async (own) => ({
      ...own,
      standing: standingOf({ ...own.facts, isReady: await isReady(database, own, now) }),
      figures: figures.get(own.model) ?? {
        model: own.model,
        why: null,
        flip: null,
        buffer: null,
        points: [],
      },
      unit: models.get(own.model)?.source.buffer.unit ?? "rows",
    })),
  );
}

async function isReady(
  database: Pick<Database, "readDecision">,
  { standing, facts: { latest } }: ModelStanding,
  now: number,
): Promise<boolean> {
  if (standing !== "due" || latest === null || latest.decision !== "no_action") return false;
  const found = await database.readDecision(latest.id);
  const evidence = Evidence.safeParse(found?.evidence);
  const policy = Policy.safeParse(found?.policy);
  return evidence.success && policy.success && wouldTrigger(evidence.data, policy.data, now);
}
