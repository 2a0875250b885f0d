import { readFile } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { wrapLine } from "../core/report/wrap.ts";
import type { VerificationFault } from "../core/verification/fault.ts";
import {
  type Anchor,
  describePruned,
  summarizeVerification,
  type Verification,
} from "../core/verification/verification.ts";
import type { PrunedHead } from "../postgres/verification.ts";
import { compareAnchors, parseAnchors } from "../use-cases/verify/anchors.ts";
import { type VerificationStore, verifyAll } from "../use-cases/verify/verify-all.ts";
import { type DecisionVerification, describeVerified, verifyOne } from "../use-cases/verify/verify-one.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote } from "./output.ts";
import { createProgress } from "./progress.ts";
import { encode, orRemotely, type Service } from "./remote.ts";

interface VerifyOptions {
  all?: true;
  model?: string;
  anchor?: true;
  anchors?: string;
  json?: true;
}

/** What the command reads, here or from a service elsewhere. */
interface Source {
  verifyOne(id: number): Promise<DecisionVerification>;
  verifyAll(model: string | null): Promise<Verification>;
  listHeads(model: string | null): Promise<{ anchors: Anchor[]; pruned: PrunedHead[] }>;
  readHash(id: number): Promise<{ model: string; sha256: string | null } | null>;
}

/** `retrigger verify` */
export function createVerify(): Command {
  const command = new Command("verify")
    .description("evaluate recorded decisions again, and find changed, removed or inserted rows")
    .argument("[id]", "the number of a decision", parseId)
    .option("-a, --all", "every decision")
    .option("-m, --model <name>", "with --all, --anchor or --anchors: only this model")
    .option("--anchor", "print each model's newest hash as a JSON line, to be kept elsewhere")
    .option("--anchors <file>", "also compare the rows with kept hashes; verifies all")
    .option("--json", "print JSON");
  return orRemotely(
    command,
    async (id: number | undefined, options: VerifyOptions) => {
      checkOptions(id, options);
      const config = parseConfigWithoutRedis(loadEnvironment());
      await withDatabase(config, (database) =>
        verify(id, options, {
          verifyOne: (one) => verifyOne(database, one),
          verifyAll: (model) => verifyWithProgress(database, model),
          async listHeads(model) {
            return { anchors: await database.listHeads(model), pruned: await database.listPruned() };
          },
          readHash: database.readHash,
        }),
      );
    },
    async (service, id, options) => {
      checkOptions(id, options);
      await verify(id, options, createRemoteSource(service));
    },
  );
}

function parseId(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Must be the number of a decision.");
}

function checkOptions(id: number | undefined, { all, model, anchor, anchors }: VerifyOptions): void {
  const given = [id !== undefined, all || anchors !== undefined, anchor].filter(Boolean).length;
  if (given !== 1)
    throw new PermanentError("USAGE", "Name one of: a decision's number, --all (or --anchors), --anchor");
  if (id !== undefined && model !== undefined)
    throw new PermanentError("USAGE", `--model does not go with a decision's number: leave one of them out`);
}

async function verify(
  id: number | undefined,
  { model = null, anchor, anchors, json }: Omit<VerifyOptions, "model"> & { model?: string | null },
  source: Source,
): Promise<void> {
  if (anchor) return printHeads(model, source);
  if (id !== undefined) return printOne(await source.verifyOne(id), json);
  // A faulty file is reported before the long part.
  const kept = anchors === undefined ? [] : await readAnchors(anchors);
  const verification = await source.verifyAll(model);
  const wanted = kept.filter((each) => model === null || each.model === model);
  const compared =
    wanted.length === 0
      ? { faults: [], pruned: 0 }
      : await compareAnchors(wanted, source.readHash, (await source.listHeads(model)).pruned);
  printAll(
    {
      ...verification,
      faults: [...compared.faults, ...verification.faults],
      faultCount: verification.faultCount + compared.faults.length,
    },
    anchors === undefined
      ? null
      : { kept: wanted.length, compared: wanted.length - compared.pruned, pruned: compared.pruned },
    json,
  );
}

async function readAnchors(path: string): Promise<Anchor[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new PermanentError("BAD_INPUT", `Cannot read --anchors ${path}: ${messageOf(error)}`);
  });
  return parseAnchors(text, path);
}

async function printHeads(model: string | null, source: Source): Promise<void> {
  const { anchors } = await source.listHeads(model);
  for (const head of anchors) print(JSON.stringify(head));
  if (anchors.length > 0) return;
  printNote(
    `No decision${model === null ? "" : ` about "${model}"`} has a hash yet, so there is no head to keep`,
  );
  process.exitCode = 1;
}

function printOne(verification: DecisionVerification, json?: true): void {
  const { decisionId, model, faults } = verification;
  if (json) print(JSON.stringify(verification, null, 2));
  else if (faults.length === 0) print(`#${decisionId} ${model}: ${describeVerified(verification)}`);
  else for (const fault of faults) print(faultLine(fault));
  if (faults.length > 0) process.exitCode = 1;
}

/** How many heads were kept, compared, and pruned since. */
interface HeadCounts {
  kept: number;
  compared: number;
  pruned: number;
}

function printAll(verification: Verification, heads: HeadCounts | null, json?: true): void {
  const { faults, faultCount } = verification;
  if (json) print(JSON.stringify(heads === null ? verification : { ...verification, heads }, null, 2));
  else {
    for (const fault of faults) print(faultLine(fault));
    if (faultCount > faults.length) print(`${formatCount(faultCount - faults.length)} more faults`);
    for (const line of describePruned(verification)) print(line);
    const kept = heads === null ? "" : `; ${describeHeads(heads)}`;
    print(wrapLine(summarizeVerification(verification) + kept).join("\n"));
  }
  if (faultCount > 0) process.exitCode = 1;
}

function describeHeads({ compared, pruned }: HeadCounts): string {
  const uncompared = `${formatCount(pruned)} ${pruned === 1 ? "was" : "were"} pruned since and could not be`;
  return `${formatCount(compared)} kept heads compared${pruned === 0 ? "" : `, ${uncompared}`}`;
}

function faultLine({ model, text }: VerificationFault): string {
  return wrapLine(`${model}: ${text}`).join("\n");
}

async function verifyWithProgress(database: VerificationStore, model: string | null): Promise<Verification> {
  const progress = createProgress("Verifying");
  const onProgress = (done: number, total: number): void =>
    progress.show(
      Math.min(1, done / Math.max(1, total)),
      `${formatCount(done)} of ${formatCount(total)} decisions`,
    );
  try {
    return await verifyAll(database, { model, onProgress });
  } finally {
    progress.end();
  }
}

function createRemoteSource(service: Service): Source {
  const query = (model: string | null): string => (model === null ? "" : `?model=${encode(model)}`);
  const one = async (id: number): Promise<DecisionVerification> =>
    (await service.call("GET", `/decisions/${id}/verification`)) as unknown as DecisionVerification;
  return {
    verifyOne: one,
    async verifyAll(model) {
      return (await service.call("GET", `/verification${query(model)}`)) as unknown as Verification;
    },
    async listHeads(model) {
      const answer = await service.call("GET", `/anchors${query(model)}`);
      return answer as unknown as { anchors: Anchor[]; pruned: PrunedHead[] };
    },
    readHash: (id) =>
      one(id).catch((error: unknown) => {
        if (error instanceof PermanentError && error.code === "NOT_FOUND") return null;
        throw error;
      }),
  };
}
