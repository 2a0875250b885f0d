import type { Gathered } from "../queues/jobs.ts";
import { messageOf } from "../src/core/errors.ts";
import { Evidence } from "../src/core/evidence.ts";
import { judgeShadow, type ShadowVerdict } from "../src/core/shadow.ts";
import { hashPolicy } from "../src/postgres/canonical-hash.ts";

/** What the shadow policy says about what was gathered, or why it says nothing. Never throws: a shadow must not stop a decision. */
export function judgeGatheredShadow({ evidence, shadow }: Pick<Gathered, "evidence" | "shadow">): {
  shadow: ShadowVerdict | null;
  problem: string | null;
} {
  if (shadow === null) return { shadow: null, problem: null };
  const { policy, seen } = shadow;
  try {
    const own = { ...evidence, ...parseSeen(seen) };
    return { shadow: judgeShadow(own, policy, hashPolicy(policy)), problem: null };
  } catch (error) {
    return { shadow: null, problem: messageOf(error) };
  }
}

function parseSeen(seen: Readonly<Record<string, unknown>>): Partial<Evidence> {
  const parts = Object.entries(Evidence.shape).flatMap(([key, schema]) =>
    key in seen ? [[key, schema.parse(seen[key])] as const] : [],
  );
  return Object.fromEntries(parts);
}

export function describeNoShadow(problem: string): string {
  return `⚠️ The shadow policy was not evaluated, which does not affect the decision: ${problem}`;
}
