import { z } from "zod";
import type { Job } from "bullmq";
import { INBOX, STAGES } from "../../../queues/names.ts";
import { parseInput } from "../../core/parse.ts";
import type { Tone } from "../../core/standing.ts";
import { JobId, readRequest } from "../api/requests.ts";
import { Badge } from "../parts/badge.tsx";
import { decisionPath } from "../parts/links.tsx";
import { RequestError } from "../request-error.ts";
import type { Page, PageDependencies } from "./page.ts";

const REFRESH_MS = 400;

/** What becomes of a request for a decision: its stages one by one, then the way to the decision. */
export const requestPage: Page = {
  path: "/requests/:jobId",
  role: "viewer",
  requires: ["postgres", "redis"],
  async load({ params }, dependencies) {
    const { jobId } = parseInput(z.object({ jobId: JobId }), params, "path");
    const state = await readRequest(dependencies, jobId, 0);
    if (state === null)
      throw new RequestError(404, `There is no request ${jobId}, or no longer`, "NOT_FOUND");
    // Its page shows the rest.
    if (state.decisionId !== null) return { redirect: decisionPath(state.decisionId) };
    const stages = await listStages(dependencies, jobId);
    const isDone = state.state !== "waiting";
    const title = isDone ? "Not decided" : "Deciding";
    return {
      title,
      tone: isDone ? "bad" : "busy",
      ...(isDone ? {} : { refreshMs: REFRESH_MS }),
      body: (
        <>
          <h1>{title}</h1>
          <section id="progress" data-part class="panel" aria-live="polite">
            <ol class="stages">
              {stages.map(({ name, tone, text, note, href }) => (
                <li>
                  <Badge tone={tone}>{text}</Badge>
                  <span>
                    {href === null ? name : <a href={href}>{name}</a>}
                    {note !== null && <small>{note}</small>}
                  </span>
                </li>
              ))}
            </ol>
            {state.problem !== null && <p class="notice">{state.problem}</p>}
            {state.obstacle !== null && <p class="notice">Waiting: {state.obstacle}</p>}
            {!isDone && (
              <p class="soft">
                This page follows the stages and then opens the decision. Without a script,{" "}
                <a href={`/requests/${jobId}`}>read it again</a>.
              </p>
            )}
          </section>
        </>
      ),
    };
  },
};

interface ShownStage {
  name: string;
  tone: Tone;
  text: string;
  note: string | null;
  href: string | null;
}

/** The inbox and the four stages of the run that covers a request. */
async function listStages(
  { client, queues }: Pick<PageDependencies, "client" | "queues">,
  jobId: string,
): Promise<ShownStage[]> {
  const intake = await client.inbox.getJob(jobId);
  const { runId } = WithRun.safeParse(intake?.returnvalue).data ?? {};
  const stages = await Promise.all(
    STAGES.map(async (name) => {
      const queue = queues.find((one) => one.name === name);
      const job = runId === undefined ? undefined : await queue?.getJob(runId);
      return describe(name, job);
    }),
  );
  return [await describe(INBOX, intake), ...stages];
}

const WithRun = z.object({ runId: z.uuid() });

async function describe(name: string, job: Job | undefined): Promise<ShownStage> {
  const own = { name, note: null, href: job?.id === undefined ? null : `/queues/queue/${name}/${job.id}` };
  if (job === undefined) return { ...own, tone: "calm", text: "waits" };
  if (job.finishedOn !== undefined && job.processedOn !== undefined) {
    const took = `${job.finishedOn - job.processedOn} ms`;
    if (job.failedReason) return { ...own, tone: "bad", text: "failed", note: job.failedReason };
    return { ...own, tone: "good", text: `done in ${took}` };
  }
  const state = await job.getState();
  if (state === "active") return { ...own, tone: "busy", text: "running" };
  return { ...own, tone: "calm", text: state === "delayed" ? "waits for another try" : "waits" };
}
