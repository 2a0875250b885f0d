import { atLeast, type Check, type CheckSettings } from "../check.ts";
import { formatCount } from "../format.ts";
import { wholeNumber } from "../setting.ts";

const settings = {
  minBufferSize: {
    variable: "MIN_BUFFER_SIZE",
    modelKey: "minBufferSize",
    schema: wholeNumber(0),
    default: "50000",
    meaning: "Minimum number of ratings in the buffer.",
  },
} as const satisfies CheckSettings;

/** The buffer holds enough new data to retrain with. */
export const bufferSize = {
  id: "buffer_size",
  reason: "insufficient_buffer",
  label: "Sufficient buffer data?",
  settings,
  evaluate: ({ buffer }, { minBufferSize }) => atLeast(minBufferSize, buffer.size),
  report: ({ actual, required }) => [
    `Size: ${formatCount(actual)} ratings`,
    `Required: ${formatCount(required)} ratings`,
  ],
  summarize: ({ actual }) => `Data available: ${formatCount(actual)} ratings`,
  explain: ({ result: { actual, required } }) => [
    `Buffer size: ${formatCount(actual)} ratings, ${formatCount(required)} required (${formatCount(required - actual)} short)`,
  ],
  advise: (_, nameSetting) => [`Ingest more batches or lower ${nameSetting("minBufferSize")}`],
} as const satisfies Check<typeof settings>;
