import { z } from "zod";
import { PlainText } from "../../queues/jobs.ts";
import { ReportedCheck } from "../../queues/reports.ts";
import { PermanentError } from "../core/errors.ts";
import { toPlain } from "../core/format.ts";
import { showValue, valueAt } from "../core/parse.ts";
import type { DetectedCheck, DetectorReport } from "./detector.ts";

type Path = readonly (string | number)[];

/** A check as a parser finds it. */
interface FoundCheck extends DetectedCheck {
  /** Tells checks of the same feature apart, and is added to the name only then. */
  method?: string | null;
}

/** Collects what a parser finds in a document, so that all faults are reported at once. */
export interface Findings {
  /** Parses a part of the document; null, and a fault, if it is malformed. */
  read<T extends z.ZodType>(schema: T, value: unknown, path: Path): z.infer<T> | null;
  /** Adds a check, made at a place of the document. */
  add(path: Path, check: FoundCheck): void;
  /** Adds what is no drift check. */
  ignore(text: string): void;
  /** Adds a drift check that has no verdict. */
  leaveOut(path: Path, text: string): void;
  fault(path: Path, value: unknown, message: string): void;
  /**
   * The report.
   * @param remedy What to do if there is no drift check at all; without one, such a document is a report without drift.
   * @throws PermanentError that names every fault.
   */
  finish(remedy?: string): DetectorReport;
}

export const LIMITS = { checks: 1000, notes: 500, faults: 20, ignored: 50 } as const;

/** @param title The document's name in messages: "Evidently report". */
export function createFindings(title: string): Findings {
  const faults: string[] = [];
  const found: { path: Path; check: FoundCheck }[] = [];
  const ignored: string[] = [];
  let leftOut = 0;

  const findings: Findings = {
    read(schema, value, path) {
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      for (const issue of parsed.error.issues) {
        const inner = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
        findings.fault([...path, ...inner], valueAt(value, inner.map(String)), issue.message);
      }
      return null;
    },
    add(path, check) {
      found.push({ path, check });
    },
    ignore(text) {
      ignored.push(toPlain(text.slice(0, LIMITS.notes)));
    },
    leaveOut(path, text) {
      leftOut += 1;
      findings.ignore(`${formatPath(path)}: ${text}`);
    },
    fault(path, value, message) {
      const place = path.length > 0 ? formatPath(path) : "the document";
      faults.push(`${place} is ${showValue(value)}: ${message}`);
    },
    finish(remedy) {
      if (faults.length === 0 && found.length > LIMITS.checks)
        faults.push(`it has ${found.length} drift checks, at most ${LIMITS.checks} are taken at once`);
      if (faults.length === 0 && found.length === 0 && leftOut === 0 && remedy !== undefined)
        faults.push(`it has no drift check: ${remedy}`);
      const checks = faults.length === 0 ? nameApart(found, findings) : [];
      if (faults.length > 0) throw new PermanentError("BAD_INPUT", describeFaults(title, faults));
      return { checks, ignored: shorten(ignored, LIMITS.ignored) };
    },
  };
  return findings;
}

/** Gives each check a name of its own: a feature's name, with the method if the feature was checked by several. */
function nameApart(
  found: readonly { path: Path; check: FoundCheck }[],
  { fault, ignore }: Findings,
): DetectedCheck[] {
  const methods = new Map<string, Set<string>>();
  for (const { check } of found)
    methods.set(check.feature, (methods.get(check.feature) ?? new Set()).add(check.method ?? ""));
  const named = new Map<string, DetectedCheck>();
  for (const { path, check: whole } of found) {
    const { method, ...check } = whole;
    const isShared = (methods.get(check.feature)?.size ?? 0) > 1;
    const feature = isShared && method ? `${check.feature} (${method})` : check.feature;
    const known = named.get(feature);
    if (known !== undefined && known.triggered !== check.triggered)
      fault(path, feature, "this feature was checked before, with another verdict; send one check of each");
    else if (known !== undefined) ignore(`${formatPath(path)}: ${feature} again`);
    const isStronger = (check.score ?? -Infinity) > (known?.score ?? -Infinity);
    if (known !== undefined && !isStronger) continue;
    const parsed = ReportedCheck.safeParse({ ...check, feature, notes: toNotes(check.notes) });
    if (parsed.success) named.set(feature, { ...check, ...parsed.data } as DetectedCheck);
    else
      for (const { path: field, message } of parsed.error.issues)
        fault([...path, ...field.map(String)], valueAt({ ...check, feature }, field.map(String)), message);
  }
  return [...named.values()];
}

function toNotes(text: string): string {
  return toPlain(Array.from(toPlain(text)).slice(0, LIMITS.notes).join(""));
}

/** `["metrics", 1, "config"]` -> `metrics[1].config` */
function formatPath(path: Path): string {
  const text = path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index > 0 ? "." : ""}${part}`))
    .join("");
  const plain = toPlain(text);
  return plain.length > 120 ? `${plain.slice(0, 120)}…` : plain;
}

function describeFaults(title: string, faults: readonly string[]): string {
  if (faults.length === 1) return `Malformed ${title}: ${faults[0]}`;
  const lines = shorten(faults, LIMITS.faults).map((fault) => `  - ${fault}`);
  return `${faults.length} faults in the ${title}:\n${lines.join("\n")}`;
}

function shorten(texts: readonly string[], limit: number): string[] {
  return texts.length <= limit
    ? [...texts]
    : [...texts.slice(0, limit), `… and ${texts.length - limit} more`];
}

/** A column's or feature's name. */
export const Name = z.string({ error: "must be a name of 1 to 200 characters" }).pipe(PlainText);

/** A figure; null if it is missing, or NaN. Python's infinities count as numbers; some pipelines write numbers as texts. */
export const Figure = z
  .unknown()
  .optional()
  .transform((value, context): number | null => {
    const number = toNumber(value);
    if (number === undefined) context.addIssue({ code: "custom", message: "must be a number" });
    return number ?? null;
  });

/** Undefined if it is none. */
function toNumber(value: unknown): number | null | undefined {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return Number.isNaN(value) ? null : value;
  if (typeof value !== "string" || value.length > 40) return undefined;
  const text = value.trim().toLowerCase();
  if (text === "nan") return null;
  const infinity = /^([+-]?)inf(?:inity)?$/.exec(text);
  if (infinity) return infinity[1] === "-" ? -Infinity : Infinity;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(text) ? Number(text) : undefined;
}

/** A p-value, as `Figure`. */
export const PValue = Figure.refine((p) => p === null || (p >= 0 && p <= 1), "a p-value must be from 0 to 1");

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
