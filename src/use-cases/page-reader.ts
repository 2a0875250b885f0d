import type { ModelConfig } from "../config/model-config.ts";
import { TransientError } from "../core/errors.ts";
import type { Evidence } from "../core/evidence.ts";
import type { Database } from "../postgres/database.ts";
import type { CheckFilter, CheckRow } from "../postgres/pages/check-history.ts";
import { isSettledWithin } from "../process/lifecycle.ts";

/** Reads the sources of models for pages, without taking the database from the rest of the service. */
export interface PageReader {
  /** The evidence as of now. @throws TransientError SLOW if it takes long, or has to wait long for others. */
  readEvidence(model: string, config: ModelConfig): Promise<Evidence>;
  /** The newest checks. @throws TransientError SLOW in the same way. */
  readChecks(model: string, config: ModelConfig, filter: CheckFilter): Promise<CheckRow[]>;
}

/** A page waits so long; Postgres reads no longer than the second limit. */
const WAIT_MS = 1_500;
const READING_LIMIT_MS = 20_000;
/** So many readings of each kind run at once, each on a connection of the service. */
const AT_ONCE = 2;

const SLOW = "The sources take long to read";
const BUSY = "Other sources are being read, so those of this model have to wait";

/** Readers of the same thing at the same time share one reading. */
export function createPageReader(database: Pick<Database, "fetchEvidence" | "readCheckHistory">): PageReader {
  const evidence = createShared<Evidence>();
  const checks = createShared<CheckRow[]>();
  return {
    readEvidence: (model, config) =>
      evidence(config, "", () => database.fetchEvidence(model, config, READING_LIMIT_MS)),
    readChecks: (model, config, filter) =>
      checks(config, JSON.stringify(filter), () => database.readCheckHistory(model, config, filter)),
  };
}

function createShared<T>() {
  const running = new WeakMap<object, Map<string, Promise<T>>>();
  /** Settled with the readings that hold a place, and never rejected. */
  const places = new Set<Promise<void>>();

  function begin(own: Map<string, Promise<T>>, key: string, read: () => Promise<T>): Promise<T> {
    const reading = read();
    const place = reading.then(leave, leave);
    function leave(): void {
      own.delete(key);
      places.delete(place);
    }
    own.set(key, reading);
    places.add(place);
    return reading;
  }

  return async (owner: object, key: string, read: () => Promise<T>): Promise<T> => {
    const deadline = performance.now() + WAIT_MS;
    const isInTime = (promise: Promise<unknown>) => isSettledWithin(promise, deadline - performance.now());
    const own = running.get(owner) ?? new Map<string, Promise<T>>();
    running.set(owner, own);
    while (!own.has(key) && places.size >= AT_ONCE)
      if (!(await isInTime(Promise.race(places)))) throw new TransientError("SLOW", BUSY);
    const reading = own.get(key) ?? begin(own, key, read);
    if (await isInTime(reading)) return reading;
    throw new TransientError("SLOW", SLOW);
  };
}
