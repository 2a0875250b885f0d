import { atLeast, type Criterion } from "../check.ts";
import { fewerRows, moreRows } from "../explain/levers.ts";
import { whole, type Fields } from "../fields.ts";
import { formatCount } from "../format.ts";

const fields = {
  atLeast: { schema: whole(0, 1e12), default: 50_000, meaning: "Minimum number of rows in the buffer." },
} as const satisfies Fields;

/** The buffer holds enough new data to retrain with. */
export const bufferSize = {
  id: "buffer_size",
  key: "bufferSize",
  reason: "insufficient_buffer",
  carries: "buffer_full",
  isDrift: false,
  measuresBuffer: true,
  label: "Sufficient buffer data?",
  fields,
  shorthand: "atLeast",
  docs: { rule: "The buffer holds at least N rows.", example: "bufferSize: 50000" },
  // A buffer that is never emptied meets it for ever, which is worth a warning.
  needs: ({ atLeast: required }) => (required === 0 ? {} : { lastSuccess: true }),
  evaluate: ({ evidence: { buffer } }, { atLeast: required }) => atLeast(required, buffer.size),
  report: ({ actual, required }, { evidence: { buffer } }) => [
    `Size: ${formatCount(actual)} ${buffer.unit}`,
    `Required: ${formatCount(required)} ${buffer.unit}`,
  ],
  summarize: ({ actual }, { evidence: { buffer } }) =>
    `Data available: ${formatCount(actual)} ${buffer.unit}`,
  found: ({ actual }, { evidence: { buffer } }) => `${formatCount(actual)} ${buffer.unit}`,
  brief: ({ result: { actual, required }, evidence: { buffer } }) =>
    `${formatCount(required - actual)} ${buffer.unit} short`,
  explain: ({ result: { actual, required }, evidence: { buffer } }) => [
    `Buffer size: ${formatCount(actual)} ${buffer.unit}, ${formatCount(required)} required (${formatCount(required - actual)} short)`,
  ],
  advise: (_, name) => [`Ingest more batches or lower ${name}`],
  levers: ({ atLeast: required }) => ({
    raise: [moreRows("buffer_size", required, ({ buffer }) => buffer.size)],
    lower: [fewerRows("buffer_size", required, ({ buffer }) => buffer.size)],
  }),
} as const satisfies Criterion<typeof fields>;
