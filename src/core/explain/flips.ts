import type { CheckResult, Criterion, Guard } from "../check.ts";
import { listCriteria } from "../condition.ts";
import type { Evidence } from "../evidence.ts";
import { formatInstant } from "../format.ts";
import { GUARDS } from "../guards/registry.ts";
import { type Judgement, judge, wouldTrigger } from "../judge.ts";
import { type Policy, settingsOf } from "../policy.ts";
import type { Change } from "./explanation.ts";
import type { Lever } from "./lever.ts";

/** How many flips an explanation lists. */
const MAX_FLIPS = 5;
/** A flip of more changes is of no use to a reader. */
const MAX_CHANGES = 5;
/** Bounds the search in a policy of many alternatives. */
const MAX_JUDGEMENTS = 2_000;
/** How many ends of guards the search for an instant passes. */
const MAX_ENDS = 40;

/** What would turn a verdict: changes, and how long to wait. */
interface Attempt {
  moves: readonly { lever: Lever; size: number }[];
  /** Unix milliseconds. */
  at: number;
}

/**
 * Finds the smallest sets of changes that would turn the verdict, nearest first. Each is verified by judging the changed
 * evidence: the set turns the verdict, no part of it does, and no smaller size of one change does. Time is one of the changes:
 * the first second at which the verdict differs.
 */
export function findFlips(evidence: Evidence, policy: Policy, judgement: Judgement): Change[][] {
  const search = new Search(evidence, policy, judgement);
  return search
    .run()
    .toSorted((a, b) => a.moves.length - b.moves.length || search.measure(a) - search.measure(b))
    .slice(0, MAX_FLIPS)
    .map((attempt) => search.describe(attempt));
}

class Search {
  readonly #evidence: Evidence;
  readonly #policy: Policy;
  readonly #decision: Judgement["decision"];
  /** Each with its limit, which may take a search of its own. */
  readonly #limits: ReadonlyMap<Lever, number>;
  readonly #now: number;
  /** When levers at their limits turn the verdict, by their ids. */
  readonly #instants = new Map<string, number | null>();
  /** Whether changes turn the verdict at an instant: the same ones are tried in several places. */
  readonly #turned = new Map<string, boolean>();
  #judgements = 0;

  constructor(evidence: Evidence, policy: Policy, { decision }: Judgement) {
    this.#evidence = evidence;
    this.#policy = policy;
    this.#decision = decision;
    this.#now = Date.parse(evidence.takenAt);
    this.#limits = new Map(
      listLevers(policy, decision === "trigger" ? "lower" : "raise")
        .map((lever) => [lever, lever.limit(evidence)] as const)
        .filter(([, limit]) => limit > 0),
    );
  }

  /** The minimal sets of changes, each with its smallest sizes. */
  run(): Attempt[] {
    const everything = this.#findEnough();
    if (everything === null) return [];
    const needed = everything.filter(
      (lever) => !this.#turnsAtLimits(everything.filter((other) => other !== lever)),
    );
    const optional = everything.filter((lever) => !needed.includes(lever));
    const found: { set: readonly Lever[]; at: number }[] = [];
    const attempts: Attempt[] = [];
    const most = Math.min(optional.length, MAX_CHANGES - needed.length);
    for (let size = 0; size <= most && attempts.length < MAX_FLIPS; size += 1) {
      for (const subset of listSubsets(optional, size)) {
        if (this.#judgements > MAX_JUDGEMENTS) return attempts;
        const set = [...needed, ...subset];
        const smaller = found.filter((known) => known.set.every((lever) => set.includes(lever)));
        if (smaller.some(({ at }) => at === this.#now)) continue;
        const attempt = this.#try(set, Math.min(...smaller.map(({ at }) => at)));
        if (attempt === null) continue;
        found.push({ set, at: attempt.at });
        attempts.push(attempt);
      }
    }
    return attempts;
  }

  /**
   * Levers that turn the verdict together; null if none do. All of them, unless one is in the way: a further check may also
   * lower a mean, say.
   */
  #findEnough(): readonly Lever[] | null {
    const all = [...this.#limits.keys()];
    if (this.#turnsAtLimits(all)) return all;
    for (const lever of all) {
      const others = all.filter((other) => other !== lever);
      if (this.#turnsAtLimits(others)) return others;
    }
    return null;
  }

  /**
   * The smallest sizes with which a set of levers turns the verdict; null if it does not, or if a part of it does. What a smaller
   * set turns in time is of interest only if this one turns it sooner.
   */
  #try(set: readonly Lever[], before: number): Attempt | null {
    const at = this.#findInstantAtLimits(set);
    if (at === null || at >= before) return null;
    const attempt = this.#shrink({ moves: this.#atLimits(set), at });
    return this.#isMinimal(attempt) ? attempt : null;
  }

  describe({ moves, at }: Attempt): Change[] {
    const changes = moves.map(({ lever, size }): Change => {
      const [kind = "", place] = lever.id.split("@");
      return {
        check: lever.check,
        kind,
        ...(place === undefined ? {} : { place }),
        ...(lever.kind === "switch" ? {} : { size }),
        text: lever.describe(size, this.#evidence),
      };
    });
    return at === this.#now ? changes : [...changes, this.#describeWait(moves, at)];
  }

  /** How far away a flip is: each change relative to what it is measured against, time relative to a week. */
  measure({ moves, at }: Attempt): number {
    const parts = moves.map(({ lever, size }) => (lever.kind === "switch" ? 0.5 : size / lever.scale));
    return parts.reduce((sum, part) => sum + part, (at - this.#now) / (7 * 86_400_000));
  }

  #describeWait(moves: Attempt["moves"], at: number): Change {
    // What ends at that instant objected up to the second before it.
    const before = judge(this.#apply(moves, at), this.#policy, at - 1000);
    const hasEnded = ({ passed, nextLookAt }: CheckResult): boolean =>
      !passed && nextLookAt !== undefined && toSecond(Date.parse(nextLookAt)) <= at;
    const guards = before.guards.filter(hasEnded);
    const criteria = before.criteria.filter(hasEnded);
    const named = [
      ...guards.map(({ id }) => endingOf(id)),
      ...criteria.map(({ id }) => `${id.replaceAll("_", " ")} is reached`),
    ];
    return {
      check: [...guards, ...criteria][0]?.id ?? "time",
      kind: "time",
      at: new Date(at).toISOString().replace(".000Z", "Z"),
      text: `${named.length === 0 ? "waiting until" : named.join(" and ")} ${formatInstant(at)}`,
    };
  }

  #atLimits(levers: readonly Lever[]): Attempt["moves"] {
    return levers.map((lever) => ({ lever, size: this.#limits.get(lever) ?? 0 }));
  }

  #apply(moves: Attempt["moves"], at: number): Evidence {
    return moves.reduce(
      (changed, { lever, size }) => lever.apply(changed, size, { at, original: this.#evidence }),
      this.#evidence,
    );
  }

  #turns({ moves, at }: Attempt): boolean {
    this.#judgements += 1;
    const key = `${at} ${moves.map(({ lever, size }) => `${lever.id} ${size}`).join()}`;
    const known = this.#turned.get(key);
    if (known !== undefined) return known;
    const turned = wouldTrigger(this.#apply(moves, at), this.#policy, at) !== (this.#decision === "trigger");
    this.#turned.set(key, turned);
    return turned;
  }

  /** Whether levers at their limits turn the verdict, now or at some later instant. */
  #turnsAtLimits(levers: readonly Lever[]): boolean {
    return this.#findInstantAtLimits(levers) !== null;
  }

  #findInstantAtLimits(levers: readonly Lever[]): number | null {
    const key = levers.map(({ id }) => id).join();
    const known = this.#instants.get(key);
    if (known !== undefined) return known;
    const at = this.#findInstant(this.#atLimits(levers));
    this.#instants.set(key, at);
    return at;
  }

  /**
   * When changes made then turn the verdict: now, or the first later second; null if they never do. Of the seconds to come, only
   * the end of something that objects can turn it, so it is judged at each such end.
   */
  #findInstant(moves: Attempt["moves"]): number | null {
    if (this.#turns({ moves, at: this.#now })) return this.#now;
    if (this.#decision === "trigger") return null;
    let at = this.#now;
    for (let ends = 0; ends < MAX_ENDS; ends += 1) {
      // Costs less than a judgement, and often is the end of the search.
      if (ends > 0 && this.#turns({ moves, at })) return at;
      this.#judgements += 1;
      const judgement = judge(this.#apply(moves, at), this.#policy, at);
      const next = findNextEnd(judgement);
      if (next === null) return null;
      at = Math.max(toSecond(next), at + 1000);
    }
    return null;
  }

  /** Reduces each change in turn to the smallest size that still turns the verdict. */
  #shrink(attempt: Attempt): Attempt {
    let moves = [...attempt.moves];
    for (const index of moves.keys()) {
      const move = moves[index];
      if (!move || move.lever.kind === "switch") continue;
      const turnsWith = (size: number): boolean =>
        this.#turns({ moves: moves.with(index, { ...move, size }), at: attempt.at });
      const size =
        move.lever.kind === "count"
          ? findSmallestCount(move.size, turnsWith)
          : findSmallestFigure(move.size, turnsWith, move.lever.guess?.(this.#evidence));
      moves = moves.with(index, { ...move, size });
    }
    return { moves, at: attempt.at };
  }

  #isMinimal(attempt: Attempt): boolean {
    const { moves, at } = attempt;
    if (!this.#turns(attempt)) return false;
    const isWaiting = at !== this.#now;
    if (isWaiting && (this.#turns({ moves, at: this.#now }) || this.#turns({ moves, at: at - 1000 })))
      return false;
    return moves.every((_, index) => !this.#turns({ moves: moves.toSpliced(index, 1), at }));
  }
}

function endingOf(id: string): string {
  const guard: Guard | undefined = GUARDS.find((one) => one.id === id);
  return guard?.ending ?? `${id.replaceAll("_", " ")} ends`;
}

/** Every lever of a policy once, in one direction. */
function listLevers(policy: Policy, direction: "raise" | "lower"): Lever[] {
  const all = listCriteria(policy.when).flatMap(
    ({ criterion, settings, place }: { criterion: Criterion; settings: never; place: string }) =>
      criterion.levers(settings, place)[direction],
  );
  if (direction === "raise")
    for (const guard of GUARDS) {
      const settings = settingsOf(policy, guard);
      if (settings !== null) all.push(...(guard.levers?.(settings) ?? []));
    }
  const levers = new Map<string, Lever>();
  for (const lever of all) {
    const known = levers.get(lever.id);
    levers.set(lever.id, known ? join(known, lever) : lever);
  }
  return [...levers.values()];
}

/** The same lever, named by two checks: what the one with the higher limit needs serves both. */
function join(known: Lever, other: Lever): Lever {
  return { ...known, limit: (evidence) => Math.max(known.limit(evidence), other.limit(evidence)) };
}

const RENEWED: ReadonlySet<string> = new Set(GUARDS.filter(({ isRenewed }) => isRenewed).map(({ id }) => id));

/** When the next of the checks that object now ends by time alone, Unix milliseconds; null if none does. */
function findNextEnd({ criteria, guards }: Judgement): number | null {
  const ends = [...criteria, ...guards].flatMap(({ id, passed, nextLookAt }) =>
    passed || nextLookAt === undefined || RENEWED.has(id) ? [] : [Date.parse(nextLookAt)],
  );
  return ends.length === 0 ? null : Math.min(...ends);
}

function toSecond(ms: number): number {
  return Math.ceil(ms / 1000) * 1000;
}

function* listSubsets<T>(items: readonly T[], size: number, start = 0): Generator<T[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let index = start; index <= items.length - size; index += 1)
    for (const rest of listSubsets(items, size - 1, index + 1)) yield [items[index] as T, ...rest];
}

/** The smallest whole number from 1 to `limit` for which it holds, given that it holds for `limit`. */
function findSmallestCount(limit: number, holds: (count: number) => boolean): number {
  // The limit is often the answer.
  if (limit <= 1 || !holds(limit - 1)) return limit;
  let [low, high] = [0, limit - 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}

const bits = new DataView(new ArrayBuffer(8));

/**
 * The smallest number from 0 to `limit` for which it holds, to the last bit, given that it holds for `limit`. The search begins
 * around the guess, if there is one.
 */
function findSmallestFigure(limit: number, holds: (figure: number) => boolean, guess?: number): number {
  // Positive floating-point numbers are ordered as their bits are.
  let [low, high] = [-1n, toBits(limit)];
  if (guess !== undefined && guess > 0 && guess < limit) {
    const start = toBits(guess);
    for (let step = 1n; step < STEP_LIMIT && high - low > 2n * step; step *= 8n) {
      const [below, above] = [start - step, start + step];
      if (above < high && holds(fromBits(above))) high = above;
      if (below > low && below >= 0n && !holds(fromBits(below))) low = below;
    }
  }
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (holds(fromBits(middle))) high = middle;
    else low = middle;
  }
  return fromBits(high);
}

/** A guess that is further off than so many steps to the next number saves nothing. */
const STEP_LIMIT = 1n << 12n;

function toBits(figure: number): bigint {
  bits.setFloat64(0, figure);
  return bits.getBigInt64(0);
}

function fromBits(value: bigint): number {
  bits.setBigInt64(0, value);
  return bits.getFloat64(0);
}
