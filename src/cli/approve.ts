import { Command } from "commander";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { requireRedis } from "../redis/check.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { warnIfNoWorkerRuns, withClient, withDatabase } from "./connections.ts";
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
    .action((id: string, { by, reason }: { by: string; reason: string }) =>
      answer(id, state, { by, reason }),
    );
}

async function answer(
  id: string,
  state: "approved" | "rejected",
  given: { by: string; reason: string },
): Promise<void> {
  if (!/^#?\d{1,9}$/.test(id))
    throw refuse(`${id} is not the number of a decision. See: npx retrigger history`);
  const decisionId = Number(id.replace("#", ""));
  const config = parseConfig(loadEnvironment());
  await requireRedis(config);
  await withDatabase(config, async (database) => {
    const result = await database.answerApproval({ decisionId, state, ...given });
    switch (result.outcome) {
      case "unknown":
        throw refuse(`Decision ${decisionId} awaits no approval. See: npx retrigger history`);
      case "closed":
        throw refuse(describeClosed(decisionId, result));
      case "answered":
        print(
          `${state === "approved" ? "Approved" : "Rejected"}: the training of ${result.model} that decision ${decisionId} awaits.`,
        );
        await withClient(config, result.model, async (client) => {
          await client.send(INBOX_JOBS.manual, { model: result.model });
          await warnIfNoWorkerRuns(client);
        });
        break;
      default:
        result satisfies never;
    }
  });
}

function describeClosed(decisionId: number, { state, by }: { state: string; by: string | null }): string {
  const who = by === null ? "" : ` by ${by}`;
  switch (state) {
    case "expired":
      return `The approval that decision ${decisionId} awaited has expired. If the policy still holds, the next decision requests it again`;
    case "used":
      return `The approval of decision ${decisionId} was given${who}, and its training was requested`;
    case "void":
      return `Decision ${decisionId} no longer awaits an approval: the policy does not hold any more`;
    default:
      return `The approval of decision ${decisionId} was ${state}${who} already`;
  }
}
