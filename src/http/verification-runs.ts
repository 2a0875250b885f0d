import type { Verification } from "../core/verification/verification.ts";
import type { Database } from "../postgres/database.ts";
import { verifyAll } from "../use-cases/verify/verify-all.ts";
import { RequestError } from "./request-error.ts";

/** A verification that is under way. */
interface Run {
  model: string | null;
  done: number;
  total: number;
}

/** The verifications of a service: one at a time, because each reads every row. */
export interface VerificationRuns {
  running: Run | null;
  /** The result of the last one, and when it ended, Unix milliseconds. */
  latest: { model: string | null; verification: Verification; at: number } | null;
  /** @throws RequestError 409 while another one is under way. */
  start(model: string | null): Promise<Verification>;
}

const known = new WeakMap<Database, VerificationRuns>();

export function verificationsOf(database: Database): VerificationRuns {
  const runs = known.get(database) ?? createRuns(database);
  known.set(database, runs);
  return runs;
}

function createRuns(database: Database): VerificationRuns {
  const runs: VerificationRuns = {
    running: null,
    latest: null,
    async start(model) {
      if (runs.running !== null)
        throw new RequestError(
          409,
          "Another verification is under way. Try again once it has ended",
          "VERIFYING",
        );
      const run: Run = { model, done: 0, total: 0 };
      runs.running = run;
      try {
        const onProgress = (done: number, total: number) => void Object.assign(run, { done, total });
        const verification = await verifyAll(database, { model, onProgress });
        runs.latest = { model, verification, at: Date.now() };
        return verification;
      } finally {
        runs.running = null;
      }
    },
  };
  return runs;
}
