import type { RedisConnection } from "../../src/redis/target.ts";
import { Acted, type Evaluated, type Gathered } from "../../queues/jobs.ts";
import type { Stage } from "../../queues/names.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import { parseJson } from "../../src/core/parse.ts";
import type { Policy } from "../../src/core/policy.ts";

/**
 * Once a run has completed, Postgres has its evidence, policy and verdict. Its first three jobs keep only what follows, instead
 * of the evidence up to six times. A stage that is retried by hand after that reads its input from Postgres.
 */
export interface Compaction {
  /** Compacts the jobs of a run that has just completed. */
  compact(runId: string, acted: Acted): Promise<void>;
  /** The input of a stage whose run has recorded its decision; null if it has not, or the decision is gone. */
  read(runId: string, stage: Stage): Promise<Gathered | Evaluated | Acted | null>;
}

export interface CompactionOptions {
  connection: RedisConnection;
  prefix: string;
  /** What a run's decision was judged by; null if it has none that this version can read. */
  readBasis(runId: string): Promise<{ evidence: Evidence; policy: Policy } | null>;
}

const COMPACTED_STAGES = ["gather", "evaluate", "act"] as const satisfies readonly Stage[];

export function createCompaction({ connection, prefix, readBasis }: CompactionOptions): Compaction {
  const commands = defineScript(connection);
  const keyOf = (stage: Stage, runId: string): string => `${prefix}:${stage}:${runId}`;
  return {
    async compact(runId, { verdict, recording }) {
      // A superseded run has no row.
      if (recording.outcome !== "recorded") return;
      const { decisionId } = recording;
      const { decision, reason } = verdict;
      const results = [{ decisionId }, { decisionId, decision, reason }, { decisionId, recording }];
      await commands.retriggerCompact(
        ...(COMPACTED_STAGES.map((stage) => keyOf(stage, runId)) as [string, string, string]),
        keyOf("summarize", runId),
        ...(results.map((result) => JSON.stringify(result)) as [string, string, string]),
      );
    },
    async read(runId, stage) {
      const basis = await readBasis(runId);
      if (basis === null) return null;
      const gathered = { ...basis, shadow: null };
      if (stage === "evaluate") return gathered;
      const evaluated = { ...gathered, verdict: evaluate(basis.evidence, basis.policy) };
      if (stage === "act") return evaluated;
      const acted = parseJson((await connection.hget(keyOf("act", runId), "returnvalue")) ?? "");
      const { success, data } = WithRecording.safeParse(acted);
      return success ? { ...evaluated, ...data } : null;
    },
  };
}

const WithRecording = Acted.pick({ recording: true });

interface Script {
  retriggerCompact(
    gather: string,
    evaluate: string,
    act: string,
    summarize: string,
    ...results: [string, string, string]
  ): Promise<unknown>;
}

function defineScript(redis: RedisConnection): Script {
  redis.defineCommand("retriggerCompact", {
    numberOfKeys: 4,
    // A job may have been removed.
    lua: `
      for index = 1, 3 do
        if redis.call('EXISTS', KEYS[index]) == 1 then
          redis.call('HSET', KEYS[index], 'returnvalue', ARGV[index])
        end
        redis.call('DEL', KEYS[index + 1] .. ':processed')
      end`,
  });
  return redis as unknown as Script;
}
