import { z } from "zod";
import { IsoTime, toInstant } from "../../queues/jobs.ts";
import type { Detector } from "./detector.ts";
import { createFindings, Figure, type Findings, isRecord, Name } from "./findings.ts";
import { describeComparison, scoreDistance } from "./scores.ts";

type Row = Record<string, unknown>;

/** NannyML: the drift results of `to_df(multilevel=False)`, as pandas writes a frame in JSON. */
export const nannyml: Detector = {
  name: "nannyml",
  title: "NannyML",
  versions: "to_df(multilevel=False).to_json() of drift results",
  parse(document) {
    const findings = createFindings("NannyML result");
    const rows = readRows(document, findings);
    const chunk = rows === null ? null : findNewest(rows, findings);
    if (chunk !== null) readChunk(chunk, findings);
    return findings.finish("send the result of a drift calculator");
  },
};

const FRAME_EXPECTED =
  "expected a list of objects with chunk_period, as to_df(multilevel=False).to_json(orient='records') writes it";

/** The rows of a frame in pandas' orients records, split and columns. */
function readRows(document: unknown, findings: Findings): Row[] | null {
  const rows = toRows(document);
  if (rows === null || rows.length === 0 || !rows.every((row) => "chunk_period" in row)) {
    findings.fault([], document, FRAME_EXPECTED);
    return null;
  }
  return rows;
}

function toRows(document: unknown): Row[] | null {
  if (Array.isArray(document)) return document.every(isRecord) ? document : null;
  if (!isRecord(document)) return null;
  const { columns, data } = document;
  if (Array.isArray(columns) && Array.isArray(data)) {
    if (!data.every((row) => Array.isArray(row) && row.length === columns.length)) return null;
    return data.map((row: unknown[]) =>
      Object.fromEntries(columns.map((column, index) => [String(column), row[index]])),
    );
  }
  const series = Object.entries(document);
  const index = isRecord(document["chunk_period"]) ? Object.keys(document["chunk_period"]) : [];
  if (!series.every(([, values]) => isRecord(values))) return null;
  return index.map((key) =>
    Object.fromEntries(series.map(([column, values]) => [column, (values as Row)[key]])),
  );
}

const Chunk = z.looseObject({
  chunk_period: z.enum(["reference", "analysis"], { error: "expected reference or analysis" }),
  chunk_key: z.union([z.string(), z.number()], { error: "must be a text" }).nullish(),
  chunk_index: Figure,
  chunk_start_index: Figure,
  chunk_end_index: Figure,
  /** Null if the data have no times. */
  chunk_end_date: z
    .unknown()
    .optional()
    .transform((value, context) => {
      const time = toTime(value);
      if (time === undefined)
        context.addIssue({
          code: "custom",
          message: "must be an ISO 8601 time, or milliseconds since 1970 in the years 2000 to 2099",
        });
      return time ?? null;
    }),
});
type Chunk = z.infer<typeof Chunk> & { row: number };

const [YEAR_2000, YEAR_2100] = [Date.UTC(2000), Date.UTC(2100)];

/** Undefined if it is no time. */
function toTime(value: unknown): Date | null | undefined {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return value >= YEAR_2000 && value < YEAR_2100 ? new Date(value) : undefined;
  if (typeof value !== "string") return undefined;
  const text = /^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00` : value.replace(" ", "T");
  const parsed = IsoTime.safeParse(text);
  return parsed.success ? toInstant(parsed.data) : undefined;
}

/**
 * The newest chunk of the analysis period. A drift run reports each feature once; a chunk that is older was the newest of an
 * earlier run.
 */
function findNewest(rows: readonly Row[], findings: Findings): Chunk | null {
  const chunks = rows.flatMap((row, index) => {
    const chunk = findings.read(Chunk, row, [index]);
    return chunk === null ? [] : [{ ...chunk, row: index }];
  });
  const analysis = chunks.filter(({ chunk_period: period }) => period === "analysis");
  const reference = chunks.length - analysis.length;
  if (reference > 0) findings.ignore(`${reference} chunk(s) of the reference period`);
  const isDated = analysis.every(({ chunk_end_date: end }) => end !== null);
  const age = ({ chunk_end_date: end, chunk_index: index, row }: Chunk): number =>
    (isDated ? end?.getTime() : index) ?? row;
  const [newest = null] = analysis.toSorted((a, b) => age(b) - age(a) || b.row - a.row);
  if (analysis.length > 1)
    findings.ignore(`${analysis.length - 1} chunk(s) before ${newest?.chunk_key ?? "the newest"}`);
  if (newest === null && chunks.length === rows.length)
    findings.fault([], rows, "expected at least one chunk whose chunk_period is analysis");
  return newest;
}

/** Drift of one column. The value of each grows with drift. */
const METHODS = [
  "jensen_shannon",
  "kolmogorov_smirnov",
  "hellinger",
  "wasserstein",
  "l_infinity",
  "chi2",
] as const;

/** Drift of all columns together. */
const WHOLE_METHODS = ["reconstruction_error", "domain_classifier_auroc"];

const Result = z.looseObject({
  alert: z.union([z.boolean(), z.literal(0), z.literal(1), z.null()], { error: "must be true or false" }),
  value: Figure,
  upper_threshold: Figure,
  lower_threshold: Figure,
});

/** Every `<column>_<method>` of a chunk. */
function readChunk(chunk: Chunk, findings: Findings): void {
  const own = Object.keys(chunk).filter((key) => key.endsWith("_alert") && !key.startsWith("chunk_"));
  for (const key of own) {
    const stem = key.slice(0, -"_alert".length);
    const named = parseStem(stem);
    if (named === null)
      findings.fault(
        [chunk.row, key],
        chunk[key],
        `expected <column>_<method>_alert with one of the methods ${[...METHODS, ...WHOLE_METHODS].join(", ")}`,
      );
    else readResult(chunk, { ...named, stem }, findings);
  }
}

function parseStem(stem: string): { feature: string; method: string } | null {
  if (WHOLE_METHODS.includes(stem)) return { feature: stem, method: stem };
  const method = METHODS.find((name) => stem.endsWith(`_${name}`) && stem.length > name.length + 1);
  return method ? { feature: stem.slice(0, -method.length - 1), method } : null;
}

function readResult(
  chunk: Chunk,
  { feature: name, method, stem }: { feature: string; method: string; stem: string },
  findings: Findings,
): void {
  const own = Object.fromEntries(
    ["alert", "value", "upper_threshold", "lower_threshold"].map((part) => [
      part,
      // Python's NaN stands for an alert that could not be computed.
      chunk[`${stem}_${part}`] ?? null,
    ]),
  );
  const path = [chunk.row, stem];
  const result = findings.read(Result, own, path);
  const feature = findings.read(Name, name, path);
  if (result === null || feature === null) return;
  const { alert, value, upper_threshold: upper, lower_threshold: lower } = result;
  if (alert === null) {
    findings.leaveOut(path, "it has no alert, neither true nor false");
    return;
  }
  const triggered = Boolean(alert);
  const isBelow = value !== null && lower !== null && value < lower;
  // The alert of chi2 goes by a p-value that is not in the result.
  const limit = method === "chi2" || (triggered && isBelow) ? null : upper;
  findings.add(path, {
    feature,
    method,
    ...scoreDistance(value, limit, triggered),
    samples: countSamples(chunk),
    checkedAt: toCheckedAt(chunk),
    notes: `${method} ${describeComparison(value, isBelow ? lower : method === "chi2" ? null : upper)}, chunk ${chunk.chunk_key ?? chunk.row}`,
  });
}

function countSamples({ chunk_start_index: start, chunk_end_index: end }: Chunk): number | null {
  const count = start === null || end === null ? Number.NaN : end - start + 1;
  return Number.isSafeInteger(count) && count >= 0 ? count : null;
}

/** A period that has not ended yet was checked now. */
function toCheckedAt({ chunk_end_date: end }: Chunk): string | null {
  return end === null || end.getTime() > Date.now() ? null : end.toISOString();
}
