import { describe, expect, it } from "vitest";
import type { ModelConfig } from "../../src/config/model-config.ts";
import { TransientError } from "../../src/core/errors.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import { createPageReader } from "../../src/use-cases/page-reader.ts";
import { failureOf } from "../support/world.ts";

const SLOW = "The sources take long to read";
const BUSY = "Other sources are being read, so those of this model have to wait";

/** A database whose readings end when the test says so. */
function createWorld() {
  const configs = new Map<string, ModelConfig>();
  const running = new Map<string, { resolve(value: Evidence): void; reject(error: Error): void }>();
  const begun: string[] = [];
  let most = 0;
  const reader = createPageReader({
    fetchEvidence(model) {
      begun.push(model);
      const reading = new Promise<Evidence>((resolve, reject) => running.set(model, { resolve, reject }));
      most = Math.max(most, running.size);
      return reading.finally(() => running.delete(model));
    },
    readCheckHistory: () => Promise.resolve([]),
  });
  return {
    begun,
    countMost: () => most,
    read(model: string): Promise<Evidence> {
      const config = configs.get(model) ?? ({} as ModelConfig);
      configs.set(model, config);
      return reader.readEvidence(model, config);
    },
    end: (model: string) => running.get(model)?.resolve(evidenceOf(model)),
    fail: (model: string) =>
      running.get(model)?.reject(new TransientError("POSTGRES", "the disk is on fire")),
  };
}

const evidenceOf = (model: string) => ({ model }) as unknown as Evidence;

describe("a page that reads the sources of its model", () => {
  it("waits for its turn while two others read, and gets it", async () => {
    const { read, end, begun, countMost } = createWorld();
    const models = ["first", "second", "third", "fourth"];
    const readings = models.map(read);
    expect(begun).toEqual(["first", "second"]);
    end("second");
    await readings[1];
    end("first");
    await readings[0];
    await expect.poll(() => begun).toEqual(models);
    end("third");
    end("fourth");
    expect(await Promise.all(readings)).toEqual(models.map(evidenceOf));
    expect(countMost()).toBe(2);
  });

  it("gives up on its own sources when they hang, and on waiting for others that do", async () => {
    const { read, end, begun } = createWorld();
    const hanging = [read("first"), read("second")];
    const waiting = read("third");
    const failures = Promise.all([...hanging, waiting].map(failureOf));
    expect(await failures).toEqual([SLOW, SLOW, BUSY]);
    await expect(waiting).rejects.toMatchObject({ code: "SLOW" });
    expect(begun).toEqual(["first", "second"]);
    // A reading keeps its place until it ends, whether or not a page still waits for it.
    const next = read("third");
    end("first");
    await expect.poll(() => begun).toContain("third");
    end("third");
    expect(await next).toEqual(evidenceOf("third"));
  });

  it("does not fail because a reading that it waits for fails", async () => {
    const { read, fail, end, begun } = createWorld();
    const failing = [read("first"), read("second")].map(failureOf);
    const waiting = read("third");
    fail("first");
    fail("second");
    expect(await Promise.all(failing)).toEqual(["the disk is on fire", "the disk is on fire"]);
    await expect.poll(() => begun).toContain("third");
    end("third");
    expect(await waiting).toEqual(evidenceOf("third"));
  });

  it("shares a reading of the same model, also while others wait, and reads anew once it has ended", async () => {
    const { read, end, begun } = createWorld();
    const readings = [read("first"), read("second"), read("first")];
    end("first");
    end("second");
    expect(await Promise.all(readings)).toEqual(["first", "second", "first"].map(evidenceOf));
    expect(begun).toEqual(["first", "second"]);
    const again = read("first");
    end("first");
    await again;
    expect(begun).toEqual(["first", "second", "first"]);
  });
});
