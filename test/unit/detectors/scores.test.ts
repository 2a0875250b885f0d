import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scorePValue } from "../../../src/detectors/scores.ts";

describe("scores", () => {
  it("of p-values reach their threshold exactly if the p-value does, and grow with drift", () => {
    const p = fc.double({ min: 1e-12, max: 1, noNaN: true });
    fc.assert(
      fc.property(p, p, fc.double({ min: 1e-6, max: 0.5, noNaN: true }), (first, second, alpha) => {
        const [low, high] = [Math.min(first, second), Math.max(first, second)];
        const weak = scorePValue(high, alpha, high <= alpha).score ?? NaN;
        const strong = scorePValue(low, alpha, low <= alpha).score ?? NaN;
        expect(strong).toBeGreaterThanOrEqual(weak);
        const { score, threshold } = scorePValue(first, alpha, first <= alpha);
        if (threshold !== null) expect((score ?? NaN) / threshold >= 1).toBe(first <= alpha);
        // A threshold is left out only where rounding hides the difference.
        else expect(first / alpha).toBeCloseTo(1, 12);
      }),
    );
  });
});
