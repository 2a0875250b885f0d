import { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { answerApproval, type Given } from "../use-cases/interventions.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { audited } from "./audited.ts";
import { warnIfNoWorkerRuns, withDatabase, withQueues } from "./connections.ts";
import { parseText, print } from "./output.ts";

/** `retrigger approve` */
export function createApprove(): Command {
  return answerCommand("approve", "approved").description(
    "approve the training that a decision awaits; the evidence is gathered again, and must still call for it",
  );
}

/** `retrigger reject` */
export function createReject(): Command {
  return answerCommand("reject", "rejected").description("reject the training that a decision awaits");
}

function answerCommand(name: string, state: "approved" | "rejected"): Command {
  return new Command(name)
    .argument("<decision>", "the number of the decision")
    .requiredOption("--by <name>", "who answers", parseText)
    .requiredOption("--reason <text>", "why, for the report", parseText)
    .action((id: string, given: Given) => answer(name, id, { ...given, state }));
}

async function answer(
  name: string,
  id: string,
  given: Given & { state: "approved" | "rejected" },
): Promise<void> {
  if (!/^#?\d{1,9}$/.test(id))
    throw refuse(`${id} is not the number of a decision. See: npx retrigger history`);
  const decisionId = Number(id.replace("#", ""));
  const config = parseConfig(loadEnvironment());
  await withQueues(config, (client) =>
    withDatabase(config, async (database) => {
      const done = { action: name, target: `decision ${decisionId}`, by: given.by };
      const model = await audited(database, done, () =>
        answerApproval({ database, client }, decisionId, given),
      );
      const what = given.state === "approved" ? "Approved" : "Rejected";
      print(`${what}: the training of ${model} that decision ${decisionId} awaits.`);
      await warnIfNoWorkerRuns(client);
    }),
  );
}
