/** The models of `bench/pages.ts`: m0001, m0002, ... The kinds of sources, policies and drift repeat every 105 models. */
export const MODELS = 2_000;
export const KINDS = 105;

export const nameOf = (number: number): string => `m${String(number).padStart(4, "0")}`;

const CHECKS_TABLE = (model: string): string =>
  `{ table: drift_log, columns: { feature: metric, score: value, threshold: limit_value, triggered: fired, checkedAt: created_at }, where: { model: ${model} } }`;
const BUFFER_TABLE = (model: string): string =>
  `{ table: row_log, unit: rows, columns: { batch: null, time: arrived_at }, where: { model: ${model} } }`;

const SOURCES: readonly ((model: string) => string)[] = [
  () => "{ checks: reported, buffer: { reported: true, unit: payments } }",
  (model) => `{ checks: ${CHECKS_TABLE(model)}, buffer: ${BUFFER_TABLE(model)} }`,
  (model) => `{ checks: ${CHECKS_TABLE(model)}, buffer: reported }`,
];

const POLICIES = [
  "{ when: { all: [{ recentDriftChecks: 7d }, { driftAlerts: 1 }, { bufferSize: 150 }] }, guards: { cooldown: 2d } }",
  "{ when: { all: [{ recentDriftChecks: 3d }, { bufferSize: 1000 }] } }",
  "{ when: { any: [{ driftAlerts: { atLeast: 2 } }, { maxAge: 60d }] }, guards: { cooldown: 7d } }",
  "{ when: { all: [{ severity: { worst: 1.5 } }, { bufferSize: 100 }] }, guards: { budget: { atMost: 4, per: 30d } } }",
  "{ when: [{ driftAlerts: 1 }, { bufferSize: 100 }], guards: { approval: { expires: 24h } } }",
] as const;

const TRAINERS = ["mock", '{ command: { command: ["node", "--version"] } }'] as const;

/** The YAML file with all models: three kinds of sources, five policies, two trainers. */
export function renderModels(): string {
  const sections = Array.from({ length: MODELS }, (_, index) => {
    const model = nameOf(index + 1);
    return `  ${model}:
    source: ${SOURCES[index % SOURCES.length]?.(model)}
    policy: ${POLICIES[index % POLICIES.length]}
    trainer: ${TRAINERS[index % TRAINERS.length]}\n`;
  });
  return `defaults:\n  schedule: "0 6 * * *"\n  spread: 10m\n  expectDriftRunEvery: 8d\nmodels:\n${sections.join("")}`;
}
