import type { Config } from "../../config/config.ts";
import { messageOf } from "../../core/errors.ts";
import { about, fault, type Finding, ok } from "../../core/finding.ts";
import type { Database } from "../../postgres/database.ts";
import { databaseAddress } from "../../postgres/explain-error.ts";
import type { PartInspection, SourceInspection } from "../../postgres/inspection/inspect.ts";
import { describeCounter } from "./counters.ts";
import { describePart } from "./sources.ts";
import { describeState } from "./states.ts";

/** Checks the database, the sources and the state of each model, and the migrations. */
export async function diagnosePostgres(config: Config, database: Database): Promise<Finding[]> {
  try {
    await database.ping();
  } catch (error) {
    return [fault(messageOf(error))];
  }
  const judged = [...config.models].map(([model, { policy, source, shadow }]) => {
    return [model, { policy, source, ...(shadow && { shadowToo: shadow }) }] as const;
  });
  const inspection = await database.inspectSources(new Map(judged));
  const missingGrants = await diagnoseGrants(database);
  return [
    ok(`Postgres at ${databaseAddress(config.databaseUrl)} responds`),
    ...describeSources(config, inspection),
    ...(await diagnoseOutcomeViews(config, database)),
    ...missingGrants,
    ...(await diagnoseOwnTables(config, database, inspection.parts, missingGrants.length > 0)),
  ];
}

function describeSources({ models }: Config, { parts, failed }: SourceInspection): Finding[] {
  const now = Date.now() / 1000;
  return [
    ...failed.flatMap(({ message, models: names }) => names.map((model) => about(model, fault(message)))),
    ...parts.flatMap((part) => describePart(part, models.get(part.model)?.source.buffer.unit ?? "rows", now)),
  ];
}

/** The views that say what trainings brought: each is looked for once, whatever number of models name it. */
async function diagnoseOutcomeViews(
  { models }: Config,
  database: Pick<Database, "findOutcomeViewFault">,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const known = new Map<string, Finding>();
  for (const [model, { outcomes }] of models) {
    if (outcomes.view === null) continue;
    const finding = known.get(outcomes.view) ?? (await diagnoseOutcomeView(outcomes.view, database));
    known.set(outcomes.view, finding);
    findings.push({ ...finding, model, ...(finding.level === "fault" && { place: "outcomes.view" }) });
  }
  return findings;
}

async function diagnoseOutcomeView(
  view: string,
  database: Pick<Database, "findOutcomeViewFault">,
): Promise<Finding> {
  try {
    const found = await database.findOutcomeViewFault(view);
    return found === null ? ok(`${view} says what trainings brought`) : fault(found.text, found.remedy);
  } catch (error) {
    return fault(messageOf(error));
  }
}

/** What the role may not do with our tables, a line each. */
async function diagnoseGrants(database: Database): Promise<Finding[]> {
  try {
    const { role, grants } = await database.findMissingGrants();
    return grants.map(({ object, rights, sql }) =>
      fault(`${role} has no ${rights.join(", ")} on ${object}`, sql),
    );
  } catch (error) {
    return [fault(messageOf(error))];
  }
}

/** The migrations and, if they have run, the states of the models. */
async function diagnoseOwnTables(
  { models }: Config,
  database: Database,
  parts: readonly PartInspection[],
  isGrantMissing: boolean,
): Promise<Finding[]> {
  try {
    const pending = await database.findPendingMigrations();
    if (pending.length > 0)
      return [fault(`Migrations have not run: ${pending.join(", ")}`, "npx retrigger migrate")];
    const buffers = new Map(
      parts.flatMap((inspection) =>
        inspection.part === "buffer" ? [[inspection.model, inspection] as const] : [],
      ),
    );
    const overviews = await database.readModelOverviews(models);
    return [
      ok("Retrigger's tables are up to date"),
      ...(await database.listCounters()).map(describeCounter),
      ...overviews.flatMap((overview) => {
        const config = models.get(overview.model);
        return config ? describeState(overview, config, buffers.get(overview.model)) : [];
      }),
    ];
  } catch (error) {
    // What the missing right kept from being read says nothing more.
    if (isGrantMissing) return [];
    return [fault(messageOf(error), "npx retrigger migrate, as a user who may create tables")];
  }
}
