import { READING_LIMIT_MS } from "../../src/postgres/evidence.ts";
import { describe, expect, it } from "vitest";
import type { ModelConfig } from "../../src/config/config.ts";
import { TransientError } from "../../src/core/errors.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import {
  createEvidenceReader,
  QUICK_LIMIT_MS,
  SHADOW_PAUSE_MS,
  SLOW_SLOTS,
} from "../../workers/evidence-reader.ts";

const CONFIG = {} as ModelConfig;
const EVIDENCE = {} as Evidence;

/** A database whose readings take as long as `durations` says, with a fake clock. */
function createWorld(durations: Record<string, number>) {
  let nowMs = 0;
  const limits: [string, number][] = [];
  const hanging: (() => void)[] = [];
  const read = createEvidenceReader({
    now: () => nowMs,
    async gatherEvidence(model, _, limitMs) {
      limits.push([model, limitMs]);
      const durationMs = durations[model] ?? 0;
      nowMs += Math.min(durationMs, limitMs);
      if (durationMs > limitMs) throw new TransientError("READING_TOO_SLOW", "canceling statement");
      if (limitMs === READING_LIMIT_MS && durationMs > QUICK_LIMIT_MS)
        await new Promise<void>((resolve) => hanging.push(resolve));
      return { evidence: EVIDENCE, seen: null, shadowProblem: null };
    },
  });
  return {
    read: (model: string) => read(model, CONFIG),
    limits,
    finishSlowReadings: () => hanging.forEach((end) => end()),
  };
}

describe("the readings of a process", () => {
  it("give each model a short limit first, and a slow one the full limit immediately afterwards", async () => {
    const { read, limits, finishSlowReadings } = createWorld({ slow: QUICK_LIMIT_MS + 1 });
    expect(await read("quick")).toMatchObject({ outcome: "read", evidence: EVIDENCE });
    const slow = read("slow");
    await Promise.resolve().then(finishSlowReadings);
    await new Promise((resolve) => setImmediate(resolve)).then(finishSlowReadings);
    expect(await slow).toMatchObject({ outcome: "read", evidence: EVIDENCE });
    expect(limits).toEqual([
      ["quick", QUICK_LIMIT_MS],
      ["slow", QUICK_LIMIT_MS],
      ["slow", READING_LIMIT_MS],
    ]);
  });

  it("bound the slots of slow models without starving any, and do not bound those of quick ones", async () => {
    const models = Array.from({ length: SLOW_SLOTS + 1 }, (_, index) => `slow-${index}`);
    const { read, finishSlowReadings } = createWorld(
      Object.fromEntries(models.map((model) => [model, QUICK_LIMIT_MS + 1])),
    );
    const readings = models.map(read);
    expect(await readings.at(-1)).toEqual({ outcome: "no_slot" });
    expect(await read(models.at(-1) ?? "")).toEqual({ outcome: "no_slot" });
    expect(await read("quick")).toMatchObject({ outcome: "read" });
    finishSlowReadings();
    expect(await Promise.all(readings.slice(0, -1))).toHaveLength(SLOW_SLOTS);
    const later = read(models.at(-1) ?? "");
    finishSlowReadings();
    expect(await later).toMatchObject({ outcome: "read" });
  });

  it("forget that a model was slow once it is quick again, but not after a failure", async () => {
    const durations: Record<string, number> = { films: READING_LIMIT_MS + 1 };
    const { read, limits } = createWorld(durations);
    await expect(read("films")).rejects.toMatchObject({ code: "READING_TOO_SLOW" });
    durations["films"] = 10;
    await read("films");
    await read("films");
    expect(limits.map(([, limitMs]) => limitMs)).toEqual([
      QUICK_LIMIT_MS,
      READING_LIMIT_MS,
      READING_LIMIT_MS,
      QUICK_LIMIT_MS,
    ]);
  });

  it("leave out a shadow policy that was too slow, for an hour or until a reload", async () => {
    let nowMs = 0;
    const shadows: boolean[] = [];
    const problem = new TransientError("READING_TOO_SLOW", "canceling statement");
    const read = createEvidenceReader({
      now: () => nowMs,
      async gatherEvidence(_, { shadow }) {
        shadows.push(shadow !== null);
        return { evidence: EVIDENCE, seen: null, shadowProblem: shadow === null ? null : problem };
      },
    });
    const withShadow = (): ModelConfig => ({ shadow: {} }) as ModelConfig;
    const config = withShadow();
    const problemOf = async (of: ModelConfig): Promise<string> => {
      const reading = await read("films", of);
      return reading.outcome === "read" ? (reading.shadowProblem?.message ?? "none") : reading.outcome;
    };
    expect(await problemOf(config)).toContain("took more than 115 s. It is left out for another 60 min");
    nowMs += SHADOW_PAUSE_MS / 2;
    expect(await problemOf(config)).toContain("It is left out for another 30 min, or until the settings");
    await problemOf(withShadow());
    nowMs += SHADOW_PAUSE_MS / 2;
    await problemOf(config);
    expect(shadows).toEqual([true, false, true, true]);
  });

  it("release the slot when a slow reading fails, and pass on other errors", async () => {
    const { read } = createWorld({ films: READING_LIMIT_MS + 1 });
    for (let count = 0; count <= SLOW_SLOTS; count += 1)
      await expect(read("films")).rejects.toMatchObject({ code: "READING_TOO_SLOW" });
    const broken = createEvidenceReader({
      now: () => 0,
      gatherEvidence: () => Promise.reject(new TransientError("POSTGRES", "the disk is on fire")),
    });
    await expect(broken("films", CONFIG)).rejects.toMatchObject({ code: "POSTGRES" });
  });
});
