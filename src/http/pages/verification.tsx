import { z } from "zod";
import { ModelName } from "../../../queues/jobs.ts";
import { formatCount } from "../../core/format.ts";
import { parseInput } from "../../core/parse.ts";
import type { VerificationFault } from "../../core/verification/fault.ts";
import { describePruned, summarizeVerification } from "../../core/verification/verification.ts";
import type { ChainHead } from "../../postgres/verification.ts";
import { Badge } from "../parts/badge.tsx";
import { Breadcrumb } from "../parts/breadcrumb.tsx";
import { DecisionLink, ModelLink } from "../parts/links.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { type VerificationRuns, verificationsOf } from "../verification-runs.ts";
import type { Page } from "./page.ts";

const PATH = "/verification";
const Query = z.object({ run: z.enum(["all", "model"]).optional(), model: ModelName.optional() });
const SHOWN_FAULTS = 50;

/** Whether recorded decisions are what was recorded: the last verification, and the head of each model's chain. */
export const verificationPage: Page = {
  path: PATH,
  role: "viewer",
  requires: ["postgres"],
  async load({ query, mayAct, now }, { database, log }) {
    const { run, model } = parseInput(Query, query, "address");
    const runs = verificationsOf(database);
    if (run !== undefined) {
      // It only reads, and never beside another one; reading it takes the right to act.
      if (mayAct && runs.running === null)
        runs
          .start(run === "all" ? null : (model ?? null))
          .catch((error: unknown) => log.warn({ err: error }, "the verification failed"));
      return { redirect: PATH };
    }
    const heads = await database.listHeads(null);
    const { latest, running } = runs;
    const faults = latest?.verification.faultCount ?? 0;
    return {
      title: faults > 0 ? "Faults · Verification" : "Verification",
      tone: faults > 0 ? "bad" : "good",
      ...(running === null ? {} : { refreshMs: 1_000 }),
      body: (
        <>
          <Breadcrumb links={[["Health", "/health"]]} />
          <h1>Verification</h1>
          <section id="result" data-part class="panel">
            <h2>Result</h2>
            <Running running={running} />
            <Latest latest={latest} now={now} />
            {mayAct && running === null && (
              <p>
                <a href={`${PATH}?run=all`}>Verify every decision</a>
              </p>
            )}
          </section>
          <section id="heads" data-part class="panel">
            <h2>Heads</h2>
            <p class="soft">
              The newest hash of each model. Keep them elsewhere: they show whether history was rewritten or
              cut off.
            </p>
            <Heads heads={heads} mayVerify={mayAct && running === null} latest={latest} now={now} />
          </section>
        </>
      ),
    };
  },
};

function Running({ running }: Pick<VerificationRuns, "running">) {
  if (running === null) return null;
  const { model, done, total } = running;
  return (
    <p class="notice">
      {`Verifying ${model ?? "every model"}: ${formatCount(done)} of ${formatCount(total)} decisions`}
    </p>
  );
}

function Latest({ latest, now }: Pick<VerificationRuns, "latest"> & { now: number }) {
  if (latest === null) return <p class="empty">Nothing was verified since the service started.</p>;
  const { verification, at } = latest;
  return (
    <>
      <p>
        <Badge tone={verification.faultCount > 0 ? "bad" : "good"}>
          {verification.faultCount > 0 ? "faults" : "verified"}
        </Badge>{" "}
        {summarizeVerification(verification)}. Ended <Time at={new Date(at).toISOString()} now={now} />.
      </p>
      {verification.pruned.length > 0 && (
        <ul>
          {describePruned(verification).map((line) => (
            <li class="soft">{line}</li>
          ))}
        </ul>
      )}
      <Faults faults={verification.faults} count={verification.faultCount} />
    </>
  );
}

function Faults({ faults, count }: { faults: readonly VerificationFault[]; count: number }) {
  if (count === 0) return null;
  return (
    <ul class="tree">
      {faults.slice(0, SHOWN_FAULTS).map(({ kind, model, text }) => (
        <li>
          <Badge tone="bad">{kind}</Badge> <ModelLink model={model} />: {text}
        </li>
      ))}
      {count > SHOWN_FAULTS && (
        <li>{`${formatCount(count - SHOWN_FAULTS)} more: npx retrigger verify --all`}</li>
      )}
    </ul>
  );
}

function Heads({
  heads,
  mayVerify,
  latest,
  now,
}: { heads: readonly ChainHead[]; mayVerify: boolean; now: number } & Pick<VerificationRuns, "latest">) {
  if (heads.length === 0) return <p class="empty">No decision has a hash yet.</p>;
  const resultOf = (model: string) => latest?.verification.models.find((each) => each.model === model);
  return (
    <Table label="Heads" cards columns={["Model", "Head", "Decided", "SHA-256", "Result"]}>
      {heads.map(({ model, decisionId, sha256, at }) => {
        const result = resultOf(model);
        return (
          <tr>
            <th scope="row">
              <ModelLink model={model} />
            </th>
            <td data-label="Head">
              <DecisionLink id={decisionId} />
            </td>
            <td data-label="Decided">
              <Time at={at} now={now} />
            </td>
            <td data-label="SHA-256">
              <code title={sha256}>{sha256.slice(0, 16)}</code>
            </td>
            <td data-label="Result">
              {result !== undefined && (
                <Badge tone={result.faults > 0 ? "bad" : "good"}>
                  {result.faults > 0 ? `${formatCount(result.faults)} faults` : "verified"}
                </Badge>
              )}{" "}
              {mayVerify && <a href={`${PATH}?run=model&model=${encodeURIComponent(model)}`}>Verify</a>}
            </td>
          </tr>
        );
      })}
    </Table>
  );
}
