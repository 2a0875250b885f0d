import { z } from "zod";
import { STAGES } from "../../../queues/names.ts";
import { messageOf, PermanentError, TransientError } from "../../core/errors.ts";
import { DecisionSummary } from "../../core/report/decision-summary.ts";
import { type AnyOperation, type ApiDependencies, operation } from "./operation.ts";
import { RequestError } from "../request-error.ts";

/** What has become of an event or a request. */
export const RequestState = z.object({
  jobId: z.string(),
  state: z.enum(["waiting", "decided", "not_decided"]),
  /** Why nothing was decided: a stage failed, or the drift run did. */
  problem: z.string().nullable(),
  /** While it waits: what keeps its jobs from being taken, such as a paused queue. */
  obstacle: z.string().nullable(),
  decisionId: z.int().nullable(),
  /** null if its jobs are no longer kept: read the decision by its id. */
  decision: DecisionSummary.nullable(),
});
type RequestState = z.infer<typeof RequestState>;

export const JobId = z.string().regex(/^(\d{1,15}|(event|repeat)-[0-9a-f-]{36})$/, "must be a job's id");

/** Where to look for what becomes of a job. */
export const addressOf = (jobId: string): string => `/api/v1/requests/${jobId}`;

export const requestOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/requests/{jobId}",
    role: "viewer",
    summary: "Say what has become of an event or a request",
    params: z.strictObject({
      jobId: JobId,
    }),
    requires: ["postgres", "redis"],
    responses: { 200: { description: "Its state", schema: RequestState } },
    async handle({ params: { jobId } }, dependencies) {
      const state = await readRequest(dependencies, jobId, 0);
      if (state === null) throw new RequestError(404, `There is no job ${jobId}, or no longer`, "NOT_FOUND");
      return { status: 200, body: state };
    },
  }),
];

/** Waits for the decision of a job, so many milliseconds at most. Returns null if there is no such job. */
export async function readRequest(
  { client, database, queues }: Pick<ApiDependencies, "client" | "database" | "queues">,
  jobId: string,
  limitMs: number,
): Promise<RequestState | null> {
  const job = await client.inbox.getJob(jobId);
  if (!job) return null;
  const undecided = { jobId, problem: null, obstacle: null, decisionId: null, decision: null };
  try {
    const decision = await client.waitForDecision(jobId, { limitMs });
    return { ...undecided, state: "decided", decisionId: decision.decisionId, decision };
  } catch (error) {
    if (error instanceof PermanentError)
      return { ...undecided, state: "not_decided", problem: messageOf(error) };
    if (!(error instanceof TransientError && error.code === "TIMEOUT")) throw error;
    // The jobs of an old run are removed before its request.
    const { runId } = WithRun.safeParse((await client.inbox.getJob(jobId))?.returnvalue).data ?? {};
    const last = queues.find(({ name }) => name === STAGES.at(-1));
    const isGone = runId !== undefined && (await last?.getJob(runId)) === undefined;
    const decisionId = isGone ? await database.findDecisionOfRun(runId) : null;
    if (decisionId !== null) return { ...undecided, state: "decided", decisionId };
    return { ...undecided, state: "waiting", obstacle: await client.explainWait(jobId) };
  }
}

const WithRun = z.object({ runId: z.uuid() });
