import type { Config } from "../../config/config.ts";
import type { Finding } from "../../core/finding.ts";
import { createDatabase } from "../../postgres/database.ts";
import type { Logger } from "../../process/logger.ts";
import { createRedactor } from "../../process/redact.ts";
import { preflightTrainers } from "../../trainers/preflight.ts";
import { createTrainers } from "../../trainers/registry.ts";
import { describeConfig } from "./describe-config.ts";
import { diagnosePostgres } from "./postgres.ts";
import { diagnoseRedis } from "./redis.ts";

/** Checks everything that a decision needs, and says how to fix what is wrong. */
export async function diagnose(config: Config, log: Logger): Promise<Finding[]> {
  const database = createDatabase(config, log);
  try {
    const trainers = await createTrainers(config, createRedactor(config.secrets));
    return [
      ...describeConfig(config),
      ...(await diagnosePostgres(config, database)),
      ...(await diagnoseRedis(config, log)),
      ...(await preflightTrainers(trainers)),
    ];
  } finally {
    await database.close();
  }
}
