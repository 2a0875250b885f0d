import { z } from "zod";
import { Figure, type Findings, isRecord, Name } from "../findings.ts";
import { describeComparison } from "../scores.ts";
import { measure, valueOf } from "./methods.ts";
import { describeDriftedColumns } from "./snapshot.ts";

type Path = readonly (string | number)[];

const Flag = z.boolean({ error: "must be true or false" });
const Method = z.string({ error: "must be the name of a method" });

const ColumnDrift = z.looseObject(
  { column_name: Name, stattest_name: Method, stattest_threshold: Figure, drift_detected: Flag },
  { error: "must be an object with column_name, stattest_name, drift_score and drift_detected" },
);

const DatasetDrift = z.looseObject(
  { drift_share: Figure, share_of_drifted_columns: Figure, dataset_drift: Flag },
  { error: "must be an object with share_of_drifted_columns and dataset_drift" },
);

const Table = z.looseObject(
  { drift_by_columns: z.looseObject({}, { error: "must be an object with a key for each column" }) },
  { error: "must be an object with drift_by_columns" },
);

/** A metric of a report before 0.7, which says itself whether there is drift. */
export function readLegacyMetric(metric: string, result: unknown, path: Path, findings: Findings): void {
  const at = [...path, "result"];
  switch (metric) {
    case "ColumnDriftMetric":
      readColumn(result, at, findings);
      break;
    case "DatasetDriftMetric":
      readDataset(result, at, findings);
      break;
    case "DataDriftTable": {
      readDataset(result, at, findings);
      const table = findings.read(Table, result, at);
      for (const [column, drift] of Object.entries(table?.drift_by_columns ?? {}))
        readColumn(
          isRecord(drift) ? { column_name: column, ...drift } : drift,
          [...at, "drift_by_columns", column],
          findings,
        );
      break;
    }
    default:
      if (metric.includes("Drift"))
        findings.fault(
          [...path, "metric"],
          metric,
          "expected ColumnDriftMetric, DatasetDriftMetric or DataDriftTable: this drift metric is unknown",
        );
      else findings.ignore(`metrics[${path.at(-1)}]: ${metric} is no drift metric`);
  }
}

function readColumn(result: unknown, at: Path, findings: Findings): void {
  const drift = findings.read(ColumnDrift, result, at);
  if (drift === null) return;
  addColumn(
    {
      column: drift.column_name,
      method: drift.stattest_name,
      score: drift["drift_score"],
      threshold: drift.stattest_threshold,
      triggered: drift.drift_detected,
    },
    "drift_score",
    at,
    findings,
  );
}

function readDataset(result: unknown, at: Path, findings: Findings): void {
  const dataset = findings.read(DatasetDrift, result, at);
  if (dataset === null) return;
  const { share_of_drifted_columns: share, drift_share: limit, dataset_drift: triggered } = dataset;
  findings.add(at, describeDriftedColumns(share, limit, triggered));
}

interface Column {
  column: string;
  method: string;
  score: unknown;
  threshold: number | null;
  triggered: boolean;
}

function addColumn(
  { column, method, score, threshold, triggered }: Column,
  field: string,
  at: Path,
  findings: Findings,
): void {
  const read = findings.read(z.object({ [field]: valueOf(method) }), { [field]: score }, at);
  if (read === null) return;
  const value = read[field] ?? null;
  findings.add(at, {
    feature: column,
    method,
    ...measure(value, threshold, method, triggered),
    notes: `${method} ${describeComparison(value, threshold)}`,
  });
}

const Test = z.looseObject(
  {
    name: z.string({ error: "must be a text" }),
    status: z.enum(["FAIL", "WARNING", "SUCCESS", "ERROR", "SKIPPED"], {
      error: "expected FAIL, WARNING, SUCCESS, ERROR or SKIPPED",
    }),
    parameters: z.unknown().optional(),
  },
  { error: "must be an object with name, status and parameters" },
);

const Parameters = z.looseObject({ column_name: Name, stattest: Method, threshold: Figure });
const FeatureParameters = z.looseObject(
  { stattest: Method, threshold: Figure, detected: Flag },
  { error: "must be an object with stattest, score, threshold and detected" },
);

/** The drift tests of a suite before 0.7: its status decides about a column or about the columns together. */
export function readTestSuite(tests: readonly unknown[], findings: Findings): void {
  for (const [index, value] of tests.entries()) {
    const path = ["tests", index];
    const test = findings.read(Test, value, path);
    if (test === null) continue;
    const { name, status, parameters } = test;
    const isDriftTest = test["group"] === "data_drift" || /\bdrift(?:ed)?\b/i.test(name);
    if (!isDriftTest) findings.ignore(`tests[${index}]: ${name} is no drift test`);
    else if (status === "ERROR" || status === "SKIPPED")
      findings.leaveOut(path, `${name} has the status ${status}`);
    else readDriftTest({ name, parameters, triggered: status !== "SUCCESS" }, path, findings);
  }
}

/** A test of one column, or of all columns together, whose own verdicts it lists. */
function readDriftTest(
  { name, parameters, triggered }: { name: string; parameters: unknown; triggered: boolean },
  path: Path,
  findings: Findings,
): void {
  const at = [...path, "parameters"];
  if (isRecord(parameters) && isRecord(parameters["features"])) {
    const feature = findings.read(z.object({ name: Name }), { name }, path)?.name;
    if (feature !== undefined)
      findings.add(path, { feature, score: null, threshold: null, triggered, notes: "test of all columns" });
    for (const [column, value] of Object.entries(parameters["features"])) {
      const place = [...at, "features", column];
      const drift = findings.read(FeatureParameters, value, place);
      if (drift === null) continue;
      const { stattest: method, threshold, detected } = drift;
      addColumn(
        { column, method, score: drift["score"], threshold, triggered: detected },
        "score",
        place,
        findings,
      );
    }
    return;
  }
  const drift = findings.read(Parameters, parameters, at);
  if (drift === null) return;
  const { column_name: column, stattest: method, threshold } = drift;
  addColumn({ column, method, score: drift["score"], threshold, triggered }, "score", at, findings);
}
