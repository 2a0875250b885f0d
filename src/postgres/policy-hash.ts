import { createHash } from "node:crypto";
import type { Policy } from "../core/policy.ts";

/** Twelve hex digits that are the same for the same policy, whatever the order of its fields. */
export function hashPolicy(policy: Policy): string {
  const sorted = Object.entries(policy).toSorted(([a], [b]) => a.localeCompare(b));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex").slice(0, 12);
}
