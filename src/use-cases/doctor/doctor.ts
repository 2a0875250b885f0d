import type { Config } from "../../config/config.ts";
import { type Finding, ok } from "../../core/finding.ts";
import { createDatabase } from "../../postgres/database.ts";
import type { Logger } from "../../process/logger.ts";
import { createRedactor } from "../../process/redact.ts";
import { preflightTrainers } from "../../trainers/preflight.ts";
import { createTrainers } from "../../trainers/registry.ts";
import type { Trainers } from "../../trainers/trainers.ts";
import { describeConfig } from "./describe-config.ts";
import { diagnosePostgres } from "./postgres.ts";
import { diagnoseRedis } from "./redis.ts";

/** Each trainer takes several requests, so only so many are checked unless all are asked for. */
const MOST_TRAINERS = 20;

/** Checks everything that a decision needs, and says how to fix what is wrong. */
export async function diagnose(
  config: Config,
  log: Logger,
  { checksAllTrainers }: { checksAllTrainers: boolean },
): Promise<Finding[]> {
  const database = createDatabase(config, log);
  try {
    const trainers = await createTrainers(config, createRedactor(config.secrets));
    const [postgres, redis, trainer] = await Promise.all([
      diagnosePostgres(config, database),
      diagnoseRedis(config, database, log),
      diagnoseTrainers(trainers, checksAllTrainers ? Number.POSITIVE_INFINITY : MOST_TRAINERS),
    ]);
    return [...describeConfig(config), ...postgres, ...redis, ...trainer];
  } finally {
    await database.close();
  }
}

async function diagnoseTrainers(trainers: Trainers, most: number): Promise<Finding[]> {
  const all = [...trainers.all()];
  const findings = await preflightTrainers({ all: () => all.slice(0, most) });
  if (all.length <= most) return findings;
  return [
    ...findings,
    ok(`${most} of ${all.length} trainers are checked: --model NAME checks one, --verbose checks all`),
  ];
}
