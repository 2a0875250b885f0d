import fc from "fast-check";
import { createRunId } from "../../queues/run-id.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import type { Policy } from "../../src/core/policy.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createRedactor } from "../../src/process/redact.ts";
import { draftRecord } from "../../src/trainers/draft-decision.ts";
import { createTrainers } from "../../src/trainers/registry.ts";
import type { Trainer } from "../../src/trainers/trainer.ts";
import { cases } from "../unit/policy/arbitraries.ts";
import type { World } from "./world.ts";

/** Opens the world's database for evidence of any age. */
export function openRecorder(world: World): Database {
  return createDatabase({ ...world.config, evidenceMaxAgeSeconds: 1e9 }, createLogger("silent"));
}

/** Records a decision as the service does. Returns its id; null if it was superseded. */
export async function recordCase(
  world: World,
  database: Database,
  { model, evidence, policy }: { model: string; evidence: Evidence; policy: Policy },
): Promise<number | null> {
  const [last] = await world.sql<{ id: number }>(
    "SELECT max(id) AS id FROM retraining_decisions WHERE model = $1",
    [model],
  );
  const seen = {
    ...evidence,
    lastDecisions: last?.id
      ? [
          {
            id: last.id,
            decidedAt: null,
            decision: null,
            bufferSize: null,
            driftScore: null,
            nextLookAt: null,
          },
        ]
      : [],
  };
  const own = (await createTrainers(world.config, createRedactor(world.config.secrets))).of("default");
  // The settings know one model only.
  const trainer: Trainer = {
    ...own,
    renderRequest: (order) => own.renderRequest({ ...order, model: "default" }),
  };
  const judged = { runId: createRunId(), model, cause: "event", evidence: seen, policy };
  const draft = draftRecord({ ...judged, verdict: evaluate(seen, policy) }, trainer);
  const result = await database.recordDecision(draft);
  return result.outcome === "recorded" ? result.decision.id : null;
}

/** Records random decisions about models in turn, so many about each; their ids have gaps between them. */
export async function recordHistory(
  world: World,
  database: Database,
  { models, decisions, seed }: { models: readonly string[]; decisions: number; seed: number },
): Promise<void> {
  const random = fc.sample(cases, { numRuns: 20 * models.length * decisions, seed });
  for (let round = 0; round < decisions; round += 1)
    for (const model of models)
      for (let id: number | null = null; id === null;) {
        const next = random.pop();
        if (!next) throw new Error(`seed ${seed} has too few decisions that nothing supersedes`);
        id = await recordCase(world, database, { model, ...next });
        await world.sql("SELECT nextval(pg_get_serial_sequence('retraining_decisions', 'id'))");
      }
}
