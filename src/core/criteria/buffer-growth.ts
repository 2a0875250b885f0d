import { atLeast, type Criterion } from "../check.ts";
import { fewerRows, moreRows } from "../explain/levers.ts";
import { type Fields, whole } from "../fields.ts";
import { formatCount } from "../format.ts";

const fields = {
  atLeast: {
    schema: whole(1, 1e12),
    default: 10_000,
    meaning: "Minimum number of rows since the last successful training.",
  },
} as const satisfies Fields;

/** Enough rows have arrived since the last successful training, whether or not the buffer is ever emptied. */
export const bufferGrowth = {
  id: "buffer_growth",
  key: "bufferGrowth",
  reason: "insufficient_growth",
  carries: "buffer_growth",
  isDrift: false,
  measuresBuffer: true,
  label: "Enough new data since the last training?",
  fields,
  shorthand: "atLeast",
  docs: {
    rule: "At least N rows have arrived since the last successful training.",
    example: "bufferGrowth: 10000",
    formula:
      "rows whose ingestion time is later than the snapshot of that training's decision; without such a column, the size now less the size then",
  },
  needs: () => ({ growth: true, lastTraining: true }),
  evaluate: ({ evidence: { buffer } }, { atLeast: required }) => atLeast(required, buffer.grown ?? 0),
  report: ({ actual, required }, { evidence: { buffer } }) => [
    `New since the last training: ${formatCount(actual)} ${buffer.unit}`,
    `Required: ${formatCount(required)} ${buffer.unit}`,
  ],
  summarize: ({ actual }, { evidence: { buffer } }) => `New data: ${formatCount(actual)} ${buffer.unit}`,
  found: ({ actual }, { evidence: { buffer } }) => `${formatCount(actual)} new ${buffer.unit}`,
  brief: ({ result: { actual, required }, evidence: { buffer } }) =>
    `${formatCount(required - actual)} ${buffer.unit} short`,
  explain: ({ result: { actual, required }, evidence: { buffer } }) => [
    `Buffer growth: ${formatCount(actual)} ${buffer.unit} since the last successful training, ${formatCount(required)} required (${formatCount(required - actual)} short)`,
  ],
  advise: (_, name) => [`Ingest more batches or lower ${name}`],
  levers: ({ atLeast: required }) => ({
    raise: [moreRows("buffer_growth", required, ({ buffer }) => buffer.grown ?? 0)],
    lower: [fewerRows("buffer_growth", required, ({ buffer }) => buffer.grown ?? 0)],
  }),
} as const satisfies Criterion<typeof fields>;
