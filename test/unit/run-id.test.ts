import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createRunId, deriveRunId } from "../../queues/run-id.ts";

const UuidV7 = z.uuidv7();

describe("a run id", () => {
  it("is a UUIDv7, whether random or derived from a job", () => {
    expect(UuidV7.parse(createRunId())).toBeTruthy();
    fc.assert(
      fc.property(
        fc.string(),
        fc.oneof(fc.integer({ min: 0, max: 2 ** 47 }), fc.double()),
        (key, timestamp) => UuidV7.safeParse(deriveRunId(key, timestamp)).success,
      ),
    );
  });

  it("is the same for the same job, and differs for another job of the same millisecond", () => {
    expect(deriveRunId("{retrigger}:7:1700000000000", 1_700_000_000_000)).toBe(
      deriveRunId("{retrigger}:7:1700000000000", 1_700_000_000_000),
    );
    expect(deriveRunId("{retrigger}:7:1700000000000", 1_700_000_000_000)).not.toBe(
      deriveRunId("{retrigger}:8:1700000000000", 1_700_000_000_000),
    );
  });

  it("sorts by time", () => {
    expect(deriveRunId("b", 1_700_000_000_000) < deriveRunId("a", 1_700_000_000_001)).toBe(true);
  });
});
