import type { z } from "zod";
import { findNewestAlertTime } from "../../core/decision-content.ts";
import { messageOf } from "../../core/errors.ts";
import { evaluate } from "../../core/evaluate.ts";
import { EVALUATOR_VERSION } from "../../core/evaluator-version.ts";
import { Evidence } from "../../core/evidence.ts";
import { judge } from "../../core/judge.ts";
import { showValue } from "../../core/parse.ts";
import { Policy } from "../../core/policy.ts";
import { isSameJson } from "../../core/same-json.ts";
import type { ChainedRow, Link } from "../../core/verification/chain.ts";
import { columnOf, contentFrom, type RecordedContent, toUtc } from "../../core/verification/content.ts";
import { deriveFields, deriveOutcome } from "../../core/verification/derived.ts";
import type { VerificationFault } from "../../core/verification/fault.ts";
import { isSameInstant } from "../../core/verification/instant.ts";
import { digestCanonical } from "../../postgres/canonical-hash.ts";
import type { RecordedRow } from "../../postgres/verification.ts";

/** What a row says by itself: whether it is what was recorded, and whether its verdict follows from its evidence. */
export interface RowCheck extends ChainedRow {
  faults: VerificationFault[];
  /**
   * How far its verdict was compared: byte for byte; only the decision and its reasons, because an older evaluator reached it; not
   * at all, because a newer one did; or not at all, because it has no evidence.
   */
  compared: "all" | "outcome" | "newer" | "nothing";
  /** Its content, if it is not what was recorded and its own evidence does not tell what was. */
  changedContent: RecordedContent | null;
}

/**
 * Checks a row by itself.
 *
 * @param judges Whether to evaluate its evidence again; not if only its place in the chain matters.
 */
export function checkRow(row: RecordedRow, judges = true): RowCheck {
  try {
    return check(row, judges);
  } catch (error) {
    // One changed row must not hide the faults of all others.
    return toUnreadable(row, messageOf(error));
  }
}

function check(row: RecordedRow, judges: boolean): RowCheck {
  const columns = parseColumns(row);
  const basis = parseBasis(row, columns.evidence);
  const newestAlertAt = basis.kind === "read" ? findNewestAlertTime(basis.evidence) : null;
  const recorded = contentFrom(columns, newestAlertAt);
  const compared = judges ? findScope(row, basis) : "nothing";
  const derived = derive(basis, row.trainer, compared);
  const content = hashContent(recorded);
  return {
    ...placeOf(row),
    content,
    compared,
    ...compare(row, { recorded, content, derived, basis, compared }),
  };
}

/** What is known of a row that cannot be checked, as when a column is nested so deeply that no stack suffices. */
function toUnreadable(row: RecordedRow, why: string): RowCheck {
  const { id, model } = row;
  const text = `#${id} was changed: it cannot be read: ${why}`;
  return {
    ...placeOf(row),
    content: "",
    compared: "nothing",
    faults: [{ kind: "changed", model, decisionId: id, text }],
    changedContent: null,
  };
}

/** What is recorded of a row's place in its chain. */
function placeOf(row: RecordedRow): Omit<ChainedRow, "content"> {
  const { id, model, previousId, decisionDate, contentSha256, previousSha256, sha256, evaluator } = row;
  const hasRun = row.runId !== null;
  return { id, model, hasRun, previousId, decisionDate, contentSha256, previousSha256, sha256, evaluator };
}

/** The hash of a row, over what the trigger `retrigger_chain_decision` writes. */
export function hashLink({ id, decisionDate, contentSha256, previousSha256 }: Link): string {
  return hash({ contentSha256, decisionDate, id, previousSha256 });
}

/** The hash of a content; a text that is no hash for what has no JSON form, which only a changed row holds. */
export function hashContent(content: Partial<RecordedContent>): string {
  try {
    return hash(content);
  } catch (error) {
    return messageOf(error);
  }
}

/** The SHA-256 of a value's canonical JSON, hexadecimal. */
function hash(value: unknown): string {
  return digestCanonical(value).toString("hex");
}

type Basis =
  | { kind: "read"; evidence: Evidence; policy: Policy }
  | { kind: "none" }
  /** A version of the service may have recorded it; if it `isBroken`, none has. */
  | { kind: "unreadable"; why: string; isBroken: boolean };

function parseColumns(row: RecordedRow) {
  const parse = (text: string | null): unknown => (text === null ? null : JSON.parse(text));
  return {
    ...row,
    reasonCodes: parse(row.reasonCodes),
    evidence: parse(row.evidence),
    criteria: parse(row.criteria),
    policy: parse(row.policy),
    alertIds: parse(row.alertIds),
    explanation: parse(row.explanation),
    forced: parse(row.forced),
    shadow: parse(row.shadow),
  };
}

function parseBasis(row: RecordedRow, evidence: unknown): Basis {
  const isOfDag = row.runId === null && row.sha256 === null;
  if (isOfDag || row.evidence === null || row.policy === null) return { kind: "none" };
  const policy = parsePolicy(row.policy);
  if (policy === UNREADABLE) return { kind: "unreadable", why: "its policy cannot be read", isBroken: true };
  if (typeof policy === "string")
    return { kind: "unreadable", why: `its policy is faulty: ${policy}`, isBroken: false };
  const parsed = parseEvidence(evidence);
  if (parsed === null) return { kind: "unreadable", why: "its evidence cannot be read", isBroken: true };
  if (parsed.success) return { kind: "read", evidence: parsed.data, policy };
  return {
    kind: "unreadable",
    why: `its evidence is faulty: ${describeIssue(parsed.error)}`,
    isBroken: false,
  };
}

/** Null for what is nested so deeply that no stack suffices. */
function parseEvidence(evidence: unknown): z.ZodSafeParseResult<Evidence> | null {
  try {
    return Evidence.safeParse(evidence);
  } catch {
    return null;
  }
}

/** What a policy says of itself that no stack suffices for. */
const UNREADABLE = ": cannot be read";

/** Many decisions have the same policy, and what is computed from a policy is kept with it. */
const policies = new Map<string, Policy | string>();
const MAX_POLICIES = 5_000;

/** The policy, or why it cannot be read. */
function parsePolicy(text: string): Policy | string {
  const known = policies.get(text);
  if (known !== undefined) return known;
  const parsed = Policy.safeParse(JSON.parse(text));
  const policy = parsed.success ? parsed.data : describeIssue(parsed.error);
  if (policies.size >= MAX_POLICIES) policies.clear();
  policies.set(text, policy);
  return policy;
}

function describeIssue({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.join(".")}: ${issue?.message}`;
}

function findScope({ evaluator }: RecordedRow, { kind }: Basis): RowCheck["compared"] {
  if (kind !== "read") return "nothing";
  if (evaluator === EVALUATOR_VERSION) return "all";
  return (evaluator ?? 0) > EVALUATOR_VERSION ? "newer" : "outcome";
}

/** The fields that follow from evidence and policy, or why they cannot be told. */
function derive(
  basis: Basis,
  trainer: string | null,
  compared: RowCheck["compared"],
): Partial<RecordedContent> | string {
  if (basis.kind === "unreadable") return basis.why;
  if (basis.kind === "none") return {};
  const { evidence, policy } = basis;
  try {
    if (compared === "all") return deriveFields(evidence, evaluate(evidence, policy), trainer);
    return compared === "outcome" ? deriveOutcome(judge(evidence, policy), trainer) : {};
  } catch (error) {
    // Evidence that was changed may hold what no database returns, such as an instant that is none.
    return `its evidence is faulty: ${messageOf(error)}`;
  }
}

interface Comparison {
  recorded: RecordedContent;
  content: string;
  derived: Partial<RecordedContent> | string;
  basis: Basis;
  compared: RowCheck["compared"];
}

function compare(
  row: RecordedRow,
  { recorded, content, derived, basis, compared }: Comparison,
): Pick<RowCheck, "faults" | "changedContent"> {
  const faults: VerificationFault[] = [];
  const add = (kind: VerificationFault["kind"], text: string): void => {
    faults.push({ kind, model: row.model, decisionId: row.id, text: `#${row.id} ${text}` });
  };
  const fields = typeof derived === "string" ? {} : derived;
  const differing = (Object.keys(fields) as (keyof RecordedContent)[])
    .filter((field) => recorded[field] !== null || !isOptional(field, compared))
    .filter((field) => isDifferent(fields[field], recorded[field]));
  const isChanged = row.contentSha256 !== null && content !== row.contentSha256;
  const original = Object.fromEntries(differing.map((field) => [field, fields[field]]));
  const isRestored = isChanged && hashContent({ ...recorded, ...original }) === row.contentSha256;
  if (basis.kind === "unreadable" && basis.isBroken) {
    add("changed", `was changed: ${basis.why}`);
    return { faults, changedContent: null };
  }
  if (isRestored) add("changed", `was changed: ${describeChanges(differing, recorded, fields)}`);
  else if (isChanged) add("changed", `was changed: ${describeMismatch(differing, compared)}`);
  else if (differing.length > 0)
    add("verdict", `has another verdict: ${describeChanges(differing, recorded, fields)}`);
  if (typeof derived === "string") add("verdict", `cannot be evaluated again: ${derived}`);
  if (basis.kind === "none" && row.sha256 !== null)
    add("verdict", "cannot be evaluated again: it has no evidence or no policy");
  if (
    basis.kind === "read" &&
    compared === "all" &&
    !isSameInstant(toUtc(row.takenAt), basis.evidence.takenAt)
  )
    add("changed", `was changed: taken_at is not when its evidence was taken, ${basis.evidence.takenAt}`);
  // Another thread takes no content that has no JSON form.
  const hasForm = /^[0-9a-f]{64}$/.test(content);
  return { faults, changedContent: isChanged && !isRestored && hasForm ? recorded : null };
}

/** Whether they have another JSON form, also where one is nested so deeply that no stack suffices. */
function isDifferent(derived: unknown, recorded: unknown): boolean {
  try {
    return !isSameJson(derived, recorded);
  } catch {
    return true;
  }
}

/** The first versions recorded no codes. */
function isOptional(field: string, compared: RowCheck["compared"]): boolean {
  return compared === "outcome" && field === "reasonCodes";
}

/** `reason is "cooldown", but its evidence and policy give "drift_detected"`; only the names of several columns. */
function describeChanges(
  fields: readonly (keyof RecordedContent)[],
  recorded: RecordedContent,
  derived: Partial<RecordedContent>,
): string {
  const [first] = fields;
  const names = fields.map(columnOf).join(", ");
  const isShown = fields.length === 1 && first !== undefined && !isObject(recorded[first]);
  if (isShown && !isObject(derived[first]))
    return `${names} is ${showValue(recorded[first])}, but its evidence and policy give ${showValue(derived[first])}`;
  return `${names} ${fields.length === 1 ? "does" : "do"} not follow from its evidence and policy`;
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;

function describeMismatch(differing: readonly string[], compared: RowCheck["compared"]): string {
  const what = "its content does not have the recorded hash";
  if (differing.length > 0)
    return `${what}, and ${differing.map(columnOf).join(", ")} ${differing.length === 1 ? "does" : "do"} not follow from its evidence and policy`;
  return compared === "all" ? `${what}, although its verdict follows from its evidence and policy` : what;
}
