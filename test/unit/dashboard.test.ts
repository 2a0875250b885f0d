import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { createStateGauges } from "../../src/http/metrics/state-gauges.ts";
import { createWorkMetrics, observeProcess } from "../../src/process/metrics.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** The labels of each series that Retrigger exports. */
const SERIES: ReadonlyMap<string, readonly string[]> = listSeries();

function listSeries(): Map<string, readonly string[]> {
  const registry = new Registry();
  createWorkMetrics(registry, () => new Map());
  createStateGauges(registry);
  const metrics = Registry.merge([registry, observeProcess()]).getMetricsAsArray() as unknown as {
    name: string;
    type: string;
    labelNames: string[];
  }[];
  return new Map(
    metrics.flatMap(({ name, type, labelNames }): [string, string[]][] =>
      type === "histogram"
        ? ["bucket", "sum", "count"].map((part) => [`${name}_${part}`, [...labelNames, "le"]])
        : [[name, labelNames]],
    ),
  );
}

/** Added by Prometheus when it scrapes. */
const TARGET_LABELS = ["job", "instance"];

/** What is wrong with an expression of PromQL. Variables of Grafana are replaced first. */
function listFaults(expression: string): string[] {
  const text = expression.replaceAll("$__rate_interval", "5m");
  const faults: string[] = [];
  let labels: readonly string[] = [];
  parser.parse(text).iterate({
    enter({ name, from, to, type, node }) {
      const word = text.slice(from, to);
      if (type.isError) faults.push(`syntax error at ${from}: ${text}`);
      if (name === "VectorSelector") {
        const metric = node.getChild("Identifier");
        const selected = metric ? text.slice(metric.from, metric.to) : "";
        if (!SERIES.has(selected)) faults.push(`unknown metric: ${selected || word}`);
        labels = [...(SERIES.get(selected) ?? []), ...TARGET_LABELS];
      }
      if (name === "LabelName" && node.parent?.name === "UnquotedLabelMatcher" && !labels.includes(word))
        faults.push(`unknown label: ${word}`);
      if (name === "LabelName" && node.parent?.name === "GroupingLabels" && !isLabel(word))
        faults.push(`unknown label: ${word}`);
    },
  });
  return faults;
}

const isLabel = (word: string): boolean =>
  TARGET_LABELS.includes(word) || [...SERIES.values()].some((labels) => labels.includes(word));

describe("the judge of expressions", () => {
  it.each([
    ["retrigger_decisions", "unknown metric: retrigger_decisions"],
    [
      "sum by (le) (rate(retrigger_stage_duration_seconds[5m]))",
      "unknown metric: retrigger_stage_duration_seconds",
    ],
    ['bullmq_job_count{state="failed"', 'syntax error at 31: bullmq_job_count{state="failed"'],
    ['bullmq_job_count{model="a"}', "unknown label: model"],
    ["max by (quue) (bullmq_job_count)", "unknown label: quue"],
    ['{job="a"}', 'unknown metric: {job="a"}'],
  ])("finds the fault of %s", (expression, fault) => {
    expect(listFaults(expression)).toContain(fault);
  });
});

const Target = z.looseObject({ expr: z.string(), refId: z.string(), legendFormat: z.string() });
const Panel = z.looseObject({
  id: z.int(),
  type: z.enum(["row", "stat", "timeseries"]),
  title: z.string().min(1),
  gridPos: z.strictObject({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
  targets: z.array(Target).min(1).optional(),
});
const Dashboard = z.looseObject({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.int(),
  templating: z.object({
    list: z.array(
      z.looseObject({ name: z.string(), query: z.union([z.string(), z.object({ query: z.string() })]) }),
    ),
  }),
  panels: z.array(Panel),
});

describe("the dashboard for Grafana", () => {
  const dashboard = Dashboard.parse(JSON.parse(read("deploy/grafana/retrigger.json")));
  const { panels, templating } = dashboard;
  const variables = templating.list.map(({ name }) => name);

  it("reads only metrics and labels that exist", () => {
    const targets = panels.flatMap(({ title, targets: own = [] }) =>
      own.map(({ expr }) => ({ title, expr })),
    );
    expect(targets.length).toBeGreaterThan(15);
    const faults = targets.flatMap(({ title, expr }) =>
      listFaults(expr).map((fault) => `${title}: ${fault}`),
    );
    expect(faults).toEqual([]);
  });

  it("uses only variables that it defines, which list values of metrics that exist", () => {
    const used = [...JSON.stringify(panels).matchAll(/\$\{?(\w+)\}?/g)].map(([, name = ""]) => name);
    expect(used.filter((name) => name !== "__rate_interval" && !variables.includes(name))).toEqual([]);
    const queries = templating.list.flatMap(({ query }) => (typeof query === "string" ? [] : [query.query]));
    expect(queries).toHaveLength(2);
    for (const query of queries) {
      const [, metric = "", label = ""] = /^label_values\((\w+), (\w+)\)$/.exec(query) ?? [];
      expect([...(SERIES.get(metric) ?? []), ...TARGET_LABELS], query).toContain(label);
      expect([...SERIES.keys()], query).toContain(metric);
    }
  });

  it("places each panel on the grid, over no other", () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
  });
});

const Rule = z.strictObject({
  alert: z.string().regex(/^Retrigger[A-Za-z]+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+m$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(["warning", "critical"]) }),
  annotations: z.strictObject({ summary: z.string().min(10), runbook_url: z.string() }),
});
const Rules = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(Rule).min(1) })),
});

describe("the alert rules for Prometheus", () => {
  const rules = Rules.parse(parse(read("deploy/prometheus/alerts.yml"))).groups.flatMap(
    (group) => group.rules,
  );

  it("read only metrics and labels that exist", () => {
    expect(rules.flatMap(({ alert, expr }) => listFaults(expr).map((fault) => `${alert}: ${fault}`))).toEqual(
      [],
    );
  });

  it("have a section each in docs/operations.md that says what to do", () => {
    const page = read("docs/operations.md");
    const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading.toLowerCase());
    for (const { alert, annotations } of rules) {
      expect(annotations.runbook_url).toBe(`docs/operations.md#${alert.toLowerCase()}`);
      expect(headings).toContain(alert.toLowerCase());
    }
    const described = headings.filter((heading) => heading.startsWith("retrigger"));
    expect(described).toHaveLength(rules.length);
  });

  it("name in their summaries only labels that they have", () => {
    for (const { alert, expr, annotations } of rules)
      for (const [, label = ""] of annotations.summary.matchAll(/\$labels\.(\w+)/g))
        expect(expr, alert).toMatch(new RegExp(String.raw`by \([\w, ]*\b${label}\b`));
  });
});
