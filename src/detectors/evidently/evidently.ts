import type { Detector } from "../detector.ts";
import { createFindings, type Findings, isRecord } from "../findings.ts";
import { readLegacyMetric, readTestSuite } from "./legacy.ts";
import { readDriftTests, readMetric } from "./snapshot.ts";

/** Evidently: the snapshot of version 0.7 and later; the report and the test suite of the versions before. */
export const evidently: Detector = {
  name: "evidently",
  title: "Evidently",
  versions: "snapshot.json() of 0.7 and later; report.json() and test_suite.json() before 0.7",
  parse(document) {
    const findings = createFindings("Evidently report");
    if (isRecord(document) && Array.isArray(document["metrics"]))
      readMetrics(document["metrics"], document["tests"], findings);
    else if (isRecord(document) && Array.isArray(document["tests"]))
      readTestSuite(document["tests"], findings);
    else
      findings.fault([], document, "expected an object with the list metrics, as snapshot.json() writes it");
    return findings.finish("compute the report with DataDriftPreset or ValueDrift");
  },
};

/** The metrics of a report, each recognized by its type, never by its position. */
function readMetrics(metrics: readonly unknown[], tests: unknown, findings: Findings): void {
  const verdicts = readDriftTests(tests, findings);
  for (const [index, metric] of metrics.entries()) {
    const path = ["metrics", index];
    if (isRecord(metric) && typeof metric["metric"] === "string")
      readLegacyMetric(metric["metric"], metric["result"], path, findings);
    else readMetric(metric, path, verdicts, findings);
  }
  if (verdicts.size > 0) findings.ignore(`${verdicts.size} drift test(s) of metrics that the report lacks`);
}
