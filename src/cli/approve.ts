import { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { answerApproval, type Given } from "../use-cases/interventions.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { audited } from "./audited.ts";
import { warnIfRequestWaits, withDatabase, withQueues } from "./connections.ts";
import { parseText, print } from "./output.ts";
import { orRemotely } from "./remote.ts";

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
  const command = new Command(name)
    .argument("<decision>", "the number of the decision")
    .requiredOption("--by <name>", "who answers", parseText)
    .requiredOption("--reason <text>", "why, for the report", parseText);
  return orRemotely(
    command,
    (id: string, { by, reason }: Given) => answer(name, id, { by, reason, state }),
    async (service, id, { by, reason }) => {
      const decisionId = toDecisionId(id);
      const body = { reason: `${reason} (${by})` };
      const { model } = await service.call("POST", `/decisions/${decisionId}/${name}`, body);
      printAnswer(state, String(model), decisionId);
    },
  );
}

/** @throws PermanentError if it is no number of a decision. */
function toDecisionId(id: string): number {
  if (!/^#?\d{1,9}$/.test(id))
    throw refuse(`${id} is not the number of a decision. See: npx retrigger history`);
  return Number(id.replace("#", ""));
}

function printAnswer(state: "approved" | "rejected", model: string, decisionId: number): void {
  const what = state === "approved" ? "Approved" : "Rejected";
  print(`${what}: the training of ${model} that decision ${decisionId} awaits.`);
}

async function answer(
  name: string,
  id: string,
  given: Given & { state: "approved" | "rejected" },
): Promise<void> {
  const decisionId = toDecisionId(id);
  const config = parseConfig(loadEnvironment());
  await withQueues(config, (client) =>
    withDatabase(config, async (database) => {
      const done = { action: name, target: `decision ${decisionId}`, by: given.by };
      const { model } = await audited(database, done, () =>
        answerApproval({ database, client }, decisionId, given),
      );
      printAnswer(given.state, model, decisionId);
      await warnIfRequestWaits(config, client);
    }),
  );
}
