import { Command } from "commander";
import { forEachAtOnce } from "../../queues/at-once.ts";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { formatInstant } from "../core/format.ts";
import { explanationLines } from "../core/report/explanation.ts";
import { explainModel, type Why } from "../use-cases/why.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote, printNotes } from "./output.ts";
import { encode, orRemotely } from "./remote.ts";

interface WhyOptions {
  all?: true;
  json?: true;
}

/** `retrigger why` */
export function createWhy(): Command {
  const command = new Command("why")
    .description("say why a model would or would not be retrained now, and what would turn that")
    .argument("[model]", "the model; the only one by default")
    .option("-a, --all", "every model")
    .option("--json", "print JSON: an object, or with --all an array");
  return orRemotely(
    command,
    (model: string | undefined, options: WhyOptions) => why(model, options),
    async (service, model, { all, json }) => {
      const { models } = (await service.call("GET", "/models")) as unknown as { models: { model: string }[] };
      const names = models.map((each) => each.model);
      const wanted = all ? names : [model ?? (names.length === 1 ? names.join("") : "default")];
      const answers: Why[] = [];
      for (const name of wanted)
        answers.push((await service.call("GET", `/models/${encode(name)}`)) as unknown as Why);
      if (json) print(JSON.stringify(all ? answers : answers[0], null, 2));
      else for (const answer of answers) print(whyLines(answer).join("\n"));
    },
  );
}

/** How many models are read at once. */
const CONCURRENCY = 4;

async function why(given: string | undefined, { all, json }: WhyOptions): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  printNotes(config);
  await withDatabase(config, async (database) => {
    if (!all) {
      const model = given ?? (config.models.size === 1 ? [...config.models.keys()].join() : "default");
      const answer = await explainModel(config, database, model);
      return print(json ? JSON.stringify(answer, null, 2) : whyLines(answer).join("\n"));
    }
    const models = [...config.models.keys()];
    const answers = new Map<string, Why>();
    await forEachAtOnce(models, CONCURRENCY, async (name) => {
      try {
        answers.set(name, await explainModel(config, database, name));
      } catch (error) {
        if (!(error instanceof PermanentError)) throw error;
        printNote(`${name}: ${messageOf(error)}`);
        process.exitCode = 1;
      }
    });
    const inOrder = models.flatMap((name) => answers.get(name) ?? []);
    if (json) print(JSON.stringify(inOrder, null, 2));
    else for (const answer of inOrder) print(whyLines(answer).join("\n"));
  });
}

function whyLines({ model, decision, reason, nextLookAt, ...explanation }: Why): string[] {
  const verdict = decision === "trigger" ? "would be retrained" : "would not be retrained";
  return [
    `${model}: ${verdict} (${reason.replaceAll(",", ", ")})`,
    ...explanationLines(decision, explanation).filter((line) => line !== ""),
    ...(nextLookAt === null
      ? []
      : [`⏰ Re-evaluated by itself at ${formatInstant(nextLookAt)}, or at the next event`]),
  ];
}
