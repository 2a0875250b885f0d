import { z } from "zod";
import { Figure, type Findings, isRecord, Name } from "../findings.ts";
import { describeComparison, scoreDistance } from "../scores.ts";
import { findMethod, isDrift, measure, valueOf } from "./methods.ts";

type Path = readonly (string | number)[];

const Text = z.string({ error: "must be a text" });

const DriftTest = z.looseObject({
  status: z.enum(["FAIL", "WARNING", "SUCCESS", "ERROR", "SKIPPED"], {
    error: "expected FAIL, WARNING, SUCCESS, ERROR or SKIPPED",
  }),
  metric_config: z.looseObject({ metric_id: Text }, { error: "must be an object with metric_id" }),
});

/** The verdicts of the tests whose id is `drift`, by the id of the metric that they are linked to. */
export function readDriftTests(tests: unknown, findings: Findings): Map<string, boolean> {
  const verdicts = new Map<string, boolean>();
  if (tests === undefined || tests === null) return verdicts;
  if (!Array.isArray(tests)) {
    findings.fault(["tests"], tests, "must be a list");
    return verdicts;
  }
  let others = 0;
  for (const [index, value] of tests.entries()) {
    if (!isRecord(value) || value["id"] !== "drift") {
      others += 1;
      continue;
    }
    const test = findings.read(DriftTest, value, ["tests", index]);
    if (test === null) continue;
    const { metric_id: id } = test.metric_config;
    if (test.status === "ERROR" || test.status === "SKIPPED")
      findings.ignore(`tests[${index}]: its status is ${test.status}`);
    // A test that is not critical warns instead of failing.
    else verdicts.set(id, (verdicts.get(id) ?? false) || test.status !== "SUCCESS");
  }
  if (others > 0) findings.ignore(`${others} test(s) that are no drift tests`);
  return verdicts;
}

const Metric = z.looseObject(
  {
    id: Text.nullish(),
    metric_name: Text.nullish(),
    metric_id: Text.nullish(),
    config: z.looseObject({}, { error: "must be an object" }).nullish(),
  },
  { error: "must be an object" },
);

/** Reads one metric. Takes its verdict out of the verdicts, if it has one. */
export function readMetric(
  value: unknown,
  path: Path,
  verdicts: Map<string, boolean>,
  findings: Findings,
): void {
  const metric = findings.read(Metric, value, path);
  if (metric === null) return;
  const described = describeMetric(metric, path, findings);
  if (described === null) return;
  const verdict = metric.id ? (verdicts.get(metric.id) ?? null) : null;
  if (metric.id) verdicts.delete(metric.id);
  const measured: Measured = { ...described, at: path, value: metric["value"], verdict };
  if (described.kind === "ValueDrift") readValueDrift(measured, findings);
  else if (described.kind === "DriftedColumnsCount") readDriftedColumns(measured, findings);
  else if (described.kind.includes("Drift"))
    findings.fault(path, described.kind, "expected ValueDrift or DriftedColumnsCount: this one is unknown");
  else findings.ignore(`metrics[${path.at(-1)}]: ${described.kind} is no drift metric`);
}

interface Described {
  /** `ValueDrift` */
  kind: string;
  parameters: Record<string, unknown>;
  /** Where the parameters are: in `config`, or in the metric's name. */
  from: Path;
}

interface Measured extends Described {
  at: Path;
  value: unknown;
  /** What the linked test says; null if there is none. */
  verdict: boolean | null;
}

const TYPE_PREFIX = "evidently:metric_v2:";

/** What a metric is. Before 0.7.16, and in some pipelines since, only its name says so. */
function describeMetric(metric: z.infer<typeof Metric>, path: Path, findings: Findings): Described | null {
  const type = metric.config?.["type"];
  if (metric.config && typeof type === "string") {
    const kind = type.slice(type.lastIndexOf(":") + 1);
    const from = [...path, "config"];
    if (!kind.includes("Drift") || type === TYPE_PREFIX + kind)
      return { kind, parameters: metric.config, from };
    findings.fault([...from, "type"], type, `expected ${TYPE_PREFIX}${kind}: this version is unknown`);
    return null;
  }
  if (Object.keys(metric).length === 0) {
    findings.ignore(`metrics[${path.at(-1)}]: empty`);
    return null;
  }
  const field = typeof metric.metric_name === "string" ? "metric_name" : "metric_id";
  const name = metric[field];
  const [, kind, parameters = ""] = /^(\w+)(?:\((.*)\))?$/s.exec(name ?? "") ?? [];
  if (kind !== undefined) return { kind, parameters: parseParameters(parameters), from: [...path, field] };
  findings.fault([...path, field], name, "expected a metric such as ValueDrift(column=age)");
  return null;
}

const PARAMETERS = /,(?=(?:column|method|threshold|nbinsx|drift_share)=)/;

/** `column=a,method=K-S p_value,threshold=0.05`, where a column may contain commas. */
function parseParameters(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(PARAMETERS).map((part) => {
      const end = part.indexOf("=");
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}

const ValueDrift = z.looseObject({ column: Name, method: Text.nullish(), threshold: Figure });

/** The drift of one column: by the linked test, or else by the side of the threshold on which its method sees drift. */
function readValueDrift({ parameters, from, at, value, verdict }: Measured, findings: Findings): void {
  const config = findings.read(ValueDrift, parameters, from);
  const read = findings.read(z.object({ value: valueOf(config?.method) }), { value }, at);
  if (config === null || read === null) return;
  const { column, threshold } = config;
  const method = config.method ?? null;
  if (from.at(-1) !== "config" && /,\w+=/.test(column)) {
    findings.fault(
      from,
      column,
      "expected no further parameters in the column. Use Evidently 0.7.16 or later",
    );
    return;
  }
  const triggered = verdict ?? judge({ method, threshold, value: read.value }, from, findings);
  if (triggered === undefined) return;
  if (triggered === null) {
    findings.leaveOut(at, `${column} has no value`);
    return;
  }
  const figures = `${method ?? "drift score"} ${describeComparison(read.value, threshold)}`;
  findings.add(at, {
    feature: column,
    method,
    ...measure(read.value, threshold, method, triggered),
    notes: verdict === null ? figures : `${figures}; test: ${verdict ? "drift" : "no drift"}`,
  });
}

/** The verdict without a test: null if there is no value to judge; undefined, and a fault, if it is not known how. */
function judge(
  { method, threshold, value }: { method: string | null; threshold: number | null; value: number | null },
  from: Path,
  findings: Findings,
): boolean | null | undefined {
  const remedy = "compute the report with include_tests=True, or with Evidently 0.7.16 or later";
  const place = (field: string): Path => (from.at(-1) === "config" ? [...from, field] : from);
  if (method === null) {
    findings.fault(place("method"), undefined, `the method decides what is drift; ${remedy}`);
    return undefined;
  }
  const known = findMethod(method);
  if (known === undefined || known.kind === "hidden") {
    const why = known ? "compares its score with another figure" : "is unknown";
    findings.fault(place("method"), method, `this method ${why}; compute the report with include_tests=True`);
    return undefined;
  }
  if (threshold === null) {
    findings.fault(place("threshold"), undefined, `expected the threshold of ${method}; ${remedy}`);
    return undefined;
  }
  return value === null ? null : isDrift(value, threshold, known);
}

const DriftedColumns = z.looseObject({ drift_share: Figure });
const CountAndShare = z.looseObject(
  { count: Figure, share: Figure },
  { error: "must be an object with count and share" },
);

/** The share of columns that drift, as one check of the whole data set. */
function readDriftedColumns({ parameters, from, at, value, verdict }: Measured, findings: Findings): void {
  const config = findings.read(DriftedColumns, parameters, from);
  const read = findings.read(z.object({ value: CountAndShare }), { value }, at);
  if (config === null || read === null) return;
  const { share } = read.value;
  const { drift_share: limit } = config;
  if (limit === null && verdict === null)
    findings.fault(from, undefined, "expected drift_share, the share that is drift");
  else if (share === null && verdict === null)
    findings.leaveOut(at, "the share of drifted columns is missing");
  else findings.add(at, describeDriftedColumns(share, limit, verdict ?? (share ?? 0) >= (limit ?? 0)));
}

/** The check of a whole data set. */
export function describeDriftedColumns(share: number | null, limit: number | null, triggered: boolean) {
  return {
    feature: DRIFTED_COLUMNS,
    ...scoreDistance(share, limit, triggered),
    notes: `share of drifted columns ${describeComparison(share, limit)}`,
  };
}

/** The name of that check. */
const DRIFTED_COLUMNS = "drifted columns";
