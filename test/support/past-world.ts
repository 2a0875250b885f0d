import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Policy } from "../../src/core/policy.ts";
import { createAgenda } from "../../src/demo/history/agenda.ts";
import { openPast } from "../../src/demo/history/past.ts";
import {
  createPastService,
  type PastService,
  type SampleTraining,
} from "../../src/demo/history/past-service.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createRedactor } from "../../src/process/redact.ts";
import { createTrainers } from "../../src/trainers/registry.ts";
import { createWorld, type World } from "./world.ts";

/** A step of a simulated past: what is reported or done at a time (Unix milliseconds). */
export interface PastStep {
  at: number;
  run(service: PastService, database: Database): Promise<void>;
}

export interface PastWorld extends World {
  database: Database;
  /** Lets Retrigger itself decide about everything that happens, in order of time, up to the present. */
  live(steps: readonly PastStep[], nextTraining: (model: string) => SampleTraining): Promise<void>;
}

/** A program that a command trainer would run; in the past, its course is given. */
const COMMAND = {
  command: { command: ["true"], workingDirectory: ".", limitSeconds: 864_000 },
};

/** A world with a simulated past, whose models report their checks and their growth. */
export async function createPastWorld(
  models: Readonly<Record<string, { policy: Policy; isMock?: boolean; model?: object }>>,
): Promise<PastWorld> {
  const path = join(process.cwd(), ".data", `past-${randomBytes(6).toString("hex")}.yaml`);
  await mkdir(join(process.cwd(), ".data"), { recursive: true });
  const described = Object.entries(models).map(([model, { policy, isMock = false, model: own = {} }]) => [
    model,
    {
      schedule: "off",
      source: { checks: "reported", buffer: { reported: true } },
      trainer: isMock ? "mock" : COMMAND,
      policy,
      ...own,
    },
  ]);
  await writeFile(path, JSON.stringify({ models: Object.fromEntries(described) as object }));
  const world = await createWorld({ isEmpty: true, settings: { RETRIGGER_CONFIG: path } });
  const database = createDatabase(world.config, createLogger("silent"));
  await database.migrate();
  return {
    ...world,
    database,
    async live(steps, nextTraining) {
      const past = await openPast(world.config.databaseUrl, world.config.databaseSchema);
      const inPast = createDatabase(
        { ...world.config, databaseUrl: past.databaseUrl },
        createLogger("silent"),
      );
      const agenda = createAgenda();
      const trainers = await createTrainers(world.config, createRedactor(world.config.secrets));
      const service = createPastService({
        config: world.config,
        database: inPast,
        trainers,
        past,
        agenda,
        nextTraining,
      });
      for (const { at, run } of steps) agenda.add(at, () => run(service, inPast));
      const end = Date.now();
      try {
        for (let next = agenda.takeFirst(); next !== null && next.at <= end; next = agenda.takeFirst()) {
          await past.moveTo(next.at);
          await next.act();
        }
      } finally {
        await inPast.close();
        await past.close();
      }
    },
    async close() {
      await database.close();
      await world.close();
      await rm(path);
    },
  };
}
