import { Command, Option } from "commander";
import { z } from "zod";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { PermanentError } from "../core/errors.ts";
import { formatCount, formatQuantity } from "../core/format.ts";
import { parseJson } from "../core/parse.ts";
import { PointInTime, toIsoTime } from "../core/point-in-time.ts";
import { createRedactor } from "../process/redact.ts";
import { type DecisionExport, exportDecisions } from "../use-cases/export/export.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../use-cases/export/formats.ts";
import { withDatabase } from "./connections.ts";
import { parsePointInTime, print, printNote } from "./output.ts";
import { orRemotely } from "./remote.ts";
import { writeToFile, writeStdout } from "./write-text.ts";

interface Options {
  model?: string;
  since?: string;
  until?: string;
  format: ExportFormat;
  output?: string;
  json?: true;
}

/** `retrigger export` */
export function createExport(): Command {
  const command = new Command("export")
    .description("export decisions with their trainings, the oldest first")
    .option("-m, --model <name>", "only this model")
    .option("--since <time>", "from when on, such as 30d or 2026-01-01", parsePointInTime)
    .option("--until <time>", "until when, such as 30d or 2026-01-01", parsePointInTime)
    .addOption(new Option("-f, --format <format>", "the format").choices(EXPORT_FORMATS).default("csv"))
    .option("-o, --output <file>", "write it to a file, which is there once it is whole")
    .option("--json", "with --output: print what was written as JSON");
  return orRemotely(
    command,
    async (options: Options) => {
      checkOptions(options);
      const config = parseConfigWithoutRedis(loadEnvironment());
      const { model = null, format } = options;
      await withDatabase(config, async (database) => {
        const dependencies = { database, models: config.models, redact: createRedactor(config.secrets) };
        await write(options, await exportDecisions(dependencies, { model, ...toPeriod(options) }, format));
      });
    },
    async (service, options) => {
      checkOptions(options);
      const { model = null, format } = options;
      const query = Object.entries({ format, model, ...toPeriod(options) }).filter(
        ([, value]) => value !== null,
      );
      const path = `/decisions/export?${new URLSearchParams(query as [string, string][]).toString()}`;
      const { header, parts } = await service.download(path, "Retrigger-Export");
      const { decisions, notes } = Announced.parse(parseJson(header));
      await write(options, { decisions, notes, pages: parts });
    },
  );
}

/** Ages count back from this machine's clock. */
function toPeriod({ since, until }: Options): { since: string | null; until: string | null } {
  const now = Date.now();
  const toTime = (text?: string): string | null =>
    text === undefined ? null : toIsoTime(PointInTime.parse(text), now);
  return { since: toTime(since), until: toTime(until) };
}

/** What the service says about the file that follows. */
const Announced = z.object({ decisions: z.number(), notes: z.array(z.string()) });

function checkOptions({ json, output }: Options): void {
  if (json && output === undefined)
    throw new PermanentError(
      "BAD_INPUT",
      "--json says what was written to a file: add --output FILE, or use --format jsonl",
    );
}

async function write(
  { format, output, json }: Options,
  { decisions, notes, pages }: DecisionExport,
): Promise<void> {
  for (const note of notes) printNote(note);
  if (output === undefined) return writeStdout(pages);
  const bytes = await writeToFile(output, pages);
  if (json) print(JSON.stringify({ file: output, format, decisions, bytes, notes }, null, 2));
  else print(`Wrote ${formatQuantity(decisions, "decision")} to ${output} (${formatCount(bytes)} bytes).`);
}
