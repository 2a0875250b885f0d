import type { Config } from "../config/config.ts";
import type { LiveConfig } from "../config/live-config.ts";
import { compareModels, type ModelChanges } from "../config/model-changes.ts";
import { ConfigError, messageOf } from "../core/errors.ts";
import { isSettledWithin } from "../process/lifecycle.ts";
import type { Logger } from "../process/logger.ts";
import type { GrowingRedactor } from "../process/redact.ts";
import type { ReloadReply } from "../redis/service-channel.ts";

/** What depends on the settings of the models in a process with workers. */
export interface ReloadedWork {
  /**
   * Creates what new settings need, and returns what puts it in force.
   *
   * @param retrained The models that have another trainer then, or none.
   */
  prepare(next: Config, retrained: readonly string[]): Promise<() => void>;
  /** Carries out what the change leads to. */
  follow(changes: ModelChanges): Promise<void>;
}

/** What a reload needs of the running service. */
export interface ReloadDependencies {
  /** Which process this is. */
  service: string;
  live: LiveConfig;
  redactor: GrowingRedactor;
  /** Reads the settings again; null if no file can change them. @throws ConfigError with every fault. */
  readConfig: (() => Config) | null;
  /** Null in a process without workers. */
  findWork(): ReloadedWork | null;
  /** Called when new settings are in force. */
  onReplaced(next: Config): void;
  log: Logger;
}

/** How long a reload waits for Redis and Postgres. What is left over is done once they are back. */
const FOLLOW_LIMIT_MS = 5_000;

/**
 * Reads the YAML file again and puts it in force, as a whole or not at all. Concurrent calls reload one after the other. Never
 * rejects.
 */
export function createReload(dependencies: ReloadDependencies): () => Promise<ReloadReply> {
  const { service, log } = dependencies;

  async function reload(): Promise<ReloadReply> {
    const { readConfig } = dependencies;
    try {
      if (readConfig === null)
        throw new ConfigError(["RETRIGGER_CONFIG names no file, so nothing can be read again"]);
      return { service, outcome: "applied", lines: [await apply(dependencies, readConfig())] };
    } catch (error) {
      const faults = error instanceof ConfigError ? error.faults : [messageOf(error)];
      log.error({ faults }, "the settings were not reloaded; the old ones stay in force");
      return { service, outcome: "refused", lines: [...faults] };
    }
  }

  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const next = last.then(reload);
    last = next;
    return next;
  };
}

/** Returns what changed, as a line. */
async function apply(dependencies: ReloadDependencies, next: Config): Promise<string> {
  const { live, redactor, log } = dependencies;
  const work = dependencies.findWork();
  redactor.add(next.secrets);
  const { retrained } = compareModels(live.models(), next.models);
  const putInForce = await work?.prepare(next, retrained);
  // Without a pause in between: whatever runs sees the old settings or the new ones.
  putInForce?.();
  const changes = live.replace(next);
  dependencies.onReplaced(next);
  const { added, changed, removed } = changes;
  log.info(
    { added: added.length, changed: changed.length, removed: removed.length },
    "the settings were reloaded",
  );
  for (const note of next.notes) log.warn({ note }, "the YAML file overrides a variable");
  const counts = `models added: ${added.length}, changed: ${changed.length}, removed: ${removed.length}`;
  const followed = work?.follow(changes) ?? Promise.resolve();
  return (await isSettledWithin(followed, FOLLOW_LIMIT_MS))
    ? counts
    : `${counts}; schedules follow once both servers respond`;
}
