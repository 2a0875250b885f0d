import { createHash } from "node:crypto";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Policy } from "../core/policy.ts";
import { toRecordedPolicy } from "../core/recorded-policy.ts";

/** Identifies a policy, whatever the order of its fields. */
export function hashPolicy(policy: Policy): string {
  const hash = hashes.get(policy) ?? hashCanonical(toRecordedPolicy(policy));
  hashes.set(policy, hash);
  return hash;
}

const hashes = new WeakMap<Policy, string>();

/** The first twelve hex digits of `digestCanonical`. */
export function hashCanonical(value: unknown): string {
  return digestCanonical(value).toString("hex").slice(0, 12);
}

/**
 * Returns the SHA-256 of the canonical form (RFC 8785) of a JSON value, in which the keys of every object are sorted. The order of
 * arrays counts.
 */
export function digestCanonical(value: unknown): Buffer {
  return createHash("sha256").update(canonicalJson(value)).digest();
}
