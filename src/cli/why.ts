import { Command } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { explanationLines } from "../core/report/explanation.ts";
import { explainModel, type Why } from "../use-cases/why.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote, printNotes } from "./output.ts";

interface WhyOptions {
  all?: true;
  json?: true;
}

/** `retrigger why` */
export function createWhy(): Command {
  return new Command("why")
    .description("say why a model would or would not be retrained now, and what would turn that")
    .argument("[model]", "the model", "default")
    .option("-a, --all", "every model")
    .option("--json", "print JSON: an object, or with --all an array")
    .action((model: string, options: WhyOptions) => why(model, options));
}

/** How many models are read at once. */
const CONCURRENCY = 4;

async function why(model: string, { all, json }: WhyOptions): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  printNotes(config);
  await withDatabase(config, async (database) => {
    if (!all) {
      const answer = await explainModel(config, database, model);
      return print(json ? JSON.stringify(answer, null, 2) : whyLines(answer).join("\n"));
    }
    const models = [...config.models.keys()];
    const answers: Why[] = [];
    for (let start = 0; start < models.length; start += CONCURRENCY) {
      const names = models.slice(start, start + CONCURRENCY);
      const results = await Promise.allSettled(names.map((name) => explainModel(config, database, name)));
      for (const [index, result] of results.entries()) {
        if (result.status === "fulfilled") answers.push(result.value);
        else if (result.reason instanceof PermanentError) {
          printNote(`${names[index] ?? ""}: ${messageOf(result.reason)}`);
          process.exitCode = 1;
        } else throw result.reason;
      }
    }
    if (json) print(JSON.stringify(answers, null, 2));
    else for (const answer of answers) print(whyLines(answer).join("\n"));
  });
}

function whyLines({ model, decision, reason, nextLookAt, ...explanation }: Why): string[] {
  const verdict = decision === "trigger" ? "would be retrained" : "would not be retrained";
  return [
    `${model}: ${verdict} (${reason.replaceAll(",", ", ")})`,
    ...explanationLines(decision, explanation).filter((line) => line !== ""),
    ...(nextLookAt === null ? [] : [`⏰ Re-evaluated by itself at ${nextLookAt}, or at the next event`]),
  ];
}
