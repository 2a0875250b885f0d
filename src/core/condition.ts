import { z } from "zod";
import { CheckResult, type Criterion, toResult } from "./check.ts";
import { CRITERIA } from "./criteria/registry.ts";
import type { Facts } from "./facts.ts";
import { describeUnknown, type Fault, isRecord, parseFields } from "./fields.ts";

/** One criterion with its settings, by the criterion's key: `{ driftAlerts: { atLeast: 1, within: "7d" } }`. */
export type Leaf = Readonly<Record<string, Record<string, unknown>>>;

/** When a model is retrained: a criterion, or several combined. */
export type Condition =
  | { readonly all: readonly Condition[] }
  | { readonly any: readonly Condition[] }
  | { readonly atLeast: number; readonly of: readonly Condition[] }
  | Leaf;

/** A condition, taken apart. */
export type Part =
  | { kind: "all" | "any"; children: readonly Condition[] }
  | { kind: "atLeast"; count: number; children: readonly Condition[] }
  | { kind: "criterion"; criterion: Criterion; settings: never };

const BY_KEY = new Map(CRITERIA.map((criterion) => [criterion.key, criterion]));

const parts = new WeakMap<Condition, Part>();

/** Takes a condition apart, once: conditions do not change. */
export function partOf(condition: Condition): Part {
  const known = parts.get(condition);
  if (known) return known;
  const part = takeApart(condition);
  parts.set(condition, part);
  return part;
}

function takeApart(condition: Condition): Part {
  if ("of" in condition)
    return {
      kind: "atLeast",
      count: condition["atLeast"] as number,
      children: condition["of"] as readonly Condition[],
    };
  if (Array.isArray(condition["all" as never])) return { kind: "all", children: condition["all" as never] };
  if (Array.isArray(condition["any" as never])) return { kind: "any", children: condition["any" as never] };
  const [[key, settings] = ["", {}]] = Object.entries(condition as Leaf);
  const criterion = BY_KEY.get(key);
  if (!criterion) throw new Error(`unknown criterion: ${key}`);
  return { kind: "criterion", criterion, settings: settings as never };
}

/** A criterion of a condition, and where it stands: `when.all[1]`. */
export interface PlacedCriterion {
  criterion: Criterion;
  settings: never;
  place: string;
}

const placed = new WeakMap<Condition, readonly PlacedCriterion[]>();

/** The criteria of a policy's condition, in order. */
export function listCriteria(condition: Condition): readonly PlacedCriterion[] {
  const known = placed.get(condition);
  if (known) return known;
  const criteria = placeCriteria(condition, "when");
  placed.set(condition, criteria);
  return criteria;
}

function placeCriteria(condition: Condition, place: string): PlacedCriterion[] {
  const part = partOf(condition);
  if (part.kind === "criterion") return [{ criterion: part.criterion, settings: part.settings, place }];
  const name = part.kind === "atLeast" ? "of" : part.kind;
  return part.children.flatMap((child, index) => placeCriteria(child, `${place}.${name}[${index}]`));
}

/** How a condition turned out, with the result of every criterion. */
export type ConditionResult =
  | { kind: "all" | "any"; passed: boolean; children: ConditionResult[] }
  | { kind: "atLeast"; count: number; passed: boolean; children: ConditionResult[] }
  | ({ kind: "criterion" } & CheckResult);

export const ConditionResult: z.ZodType<ConditionResult> = z.lazy(() =>
  z.union([
    z.object({ kind: z.enum(["all", "any"]), passed: z.boolean(), children: z.array(ConditionResult) }),
    z.object({
      kind: z.literal("atLeast"),
      count: z.number(),
      passed: z.boolean(),
      children: z.array(ConditionResult),
    }),
    CheckResult.extend({ kind: z.literal("criterion") }),
  ]),
) as z.ZodType<ConditionResult>;

/** Evaluates a condition. */
export function evaluateCondition(condition: Condition, facts: Facts): ConditionResult {
  const part = partOf(condition);
  if (part.kind === "criterion") {
    const { criterion, settings } = part;
    return { kind: "criterion", ...toResult(criterion, criterion.evaluate(facts, settings)) };
  }
  const children = part.children.map((child) => evaluateCondition(child, facts));
  const count = children.filter(({ passed }) => passed).length;
  switch (part.kind) {
    case "all":
      return { kind: "all", passed: count === children.length, children };
    case "any":
      return { kind: "any", passed: count > 0, children };
    case "atLeast":
      return { kind: "atLeast", count: part.count, passed: count >= part.count, children };
    default:
      return part satisfies never;
  }
}

/** Whether a condition holds, without the results. */
export function holds(condition: Condition, facts: Facts): boolean {
  return test(condition, ({ criterion, settings }) => criterion.evaluate(facts, settings).passed);
}

/** Whether a condition holds, as far as drift decides: every criterion that does not measure drift is taken as met. */
export function holdsAsDriftGoes(condition: Condition, facts: Facts): boolean {
  return test(
    condition,
    ({ criterion, settings }) => !criterion.isDrift || criterion.evaluate(facts, settings).passed,
  );
}

/** Tests criteria until it is known whether a condition holds. */
function test(
  condition: Condition,
  passes: (part: Extract<Part, { kind: "criterion" }>) => boolean,
): boolean {
  const part = partOf(condition);
  if (part.kind === "criterion") return passes(part);
  const { children } = part;
  switch (part.kind) {
    case "all":
      return children.every((child) => test(child, passes));
    case "any":
      return children.some((child) => test(child, passes));
    case "atLeast":
      return children.filter((child) => test(child, passes)).length >= part.count;
    default:
      return part satisfies never;
  }
}

type Outcome = ConditionResult & { kind: "criterion" };

/** The results of all criteria, in order. */
export function listResults(result: ConditionResult): Outcome[] {
  return result.kind === "criterion" ? [result] : result.children.flatMap(listResults);
}

/** The failed criteria that keep a condition from holding: none of a branch that holds. */
export function listFailed(result: ConditionResult): Outcome[] {
  if (result.passed) return [];
  return result.kind === "criterion" ? [result] : result.children.flatMap(listFailed);
}

/** The criteria that make a condition hold: none of a branch that does not. */
export function listCarrying(result: ConditionResult): Outcome[] {
  if (!result.passed) return [];
  return result.kind === "criterion" ? [result] : result.children.flatMap(listCarrying);
}

const COMBINATIONS = ["all", "any", "atLeast"];
const NAMES = [...BY_KEY.keys(), ...COMBINATIONS];
/** Deeper trees are hard to read and to explain. */
const MAX_DEPTH = 6;
const MAX_CRITERIA = 30;

/** Parses what a user writes under `when`: a list means all of it. Adds to `faults` what is wrong. */
export function parseCondition(value: unknown, path: Fault["path"], faults: Fault[]): Condition {
  const condition = parse(value, path, faults, 1);
  if (faults.length === 0 && listCriteria(condition).length > MAX_CRITERIA)
    faults.push({ path, message: `expected at most ${MAX_CRITERIA} criteria` });
  return condition;
}

function parse(value: unknown, path: Fault["path"], faults: Fault[], depth: number): Condition {
  if (depth > MAX_DEPTH) {
    faults.push({ path, message: `expected at most ${MAX_DEPTH} levels` });
    return { all: [] };
  }
  if (Array.isArray(value)) return { all: parseList(value, path, faults, depth) };
  if (!isRecord(value)) {
    faults.push({ path, message: "expected a criterion such as driftAlerts: 1, or a list of them", value });
    return { all: [] };
  }
  if ("of" in value && "atLeast" in value) return parseAtLeast(value, path, faults, depth);
  const keys = Object.keys(value);
  if (keys.length === 0) {
    faults.push({ path, message: "expected at least one criterion: an empty condition says nothing" });
    return { all: [] };
  }
  // Several criteria in one mapping are a list, one level below.
  const own = keys.length === 1 ? depth : depth + 1;
  if (own > MAX_DEPTH) {
    faults.push({ path, message: `expected at most ${MAX_DEPTH} levels` });
    return { all: [] };
  }
  const parts = keys.map((key) => parseKey(key, value[key], [...path, key], faults, own));
  return parts.length === 1 && parts[0] ? parts[0] : { all: parts };
}

function parseKey(
  key: string,
  value: unknown,
  path: Fault["path"],
  faults: Fault[],
  depth: number,
): Condition {
  if (key === "all") return { all: parseList(value, path, faults, depth) };
  if (key === "any") return { any: parseList(value, path, faults, depth) };
  const criterion = BY_KEY.get(key);
  // `consecutiveRuns:` without a value stands for its defaults.
  if (criterion) return { [key]: parseFields(criterion, value ?? undefined, path, faults) };
  const message =
    key === "atLeast" || key === "of"
      ? "expected both, such as { atLeast: 2, of: [...] }"
      : describeUnknown("a criterion", key, NAMES);
  faults.push({ path, message });
  return { all: [] };
}

function parseAtLeast(
  value: Record<string, unknown>,
  path: Fault["path"],
  faults: Fault[],
  depth: number,
): Condition {
  for (const key of Object.keys(value))
    if (key !== "atLeast" && key !== "of")
      faults.push({ path: [...path, key], message: `"${key}" cannot stand beside atLeast and of` });
  const children = parseList(value["of"], [...path, "of"], faults, depth);
  const { atLeast } = value;
  const isCount = Number.isSafeInteger(atLeast) && (atLeast as number) >= 1;
  if (!isCount)
    faults.push({
      path: [...path, "atLeast"],
      message: "expected a whole number of at least 1",
      value: atLeast,
    });
  else if ((atLeast as number) > children.length)
    faults.push({
      path: [...path, "atLeast"],
      message: `expected at most ${children.length}, the number of conditions in of: else it can never hold`,
      value: atLeast,
    });
  return { atLeast: isCount ? (atLeast as number) : 1, of: children };
}

function parseList(value: unknown, path: Fault["path"], faults: Fault[], depth: number): Condition[] {
  if (!Array.isArray(value)) {
    faults.push({ path, message: "expected a list of criteria", value });
    return [];
  }
  if (value.length === 0)
    faults.push({ path, message: "expected at least one criterion: an empty condition says nothing" });
  return value.map((child: unknown, index) => parse(child, [...path, index], faults, depth + 1));
}
