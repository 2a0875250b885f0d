import { z } from "zod";
import { TransientError } from "../../core/errors.ts";
import { messageOf, PermanentError } from "../../core/errors.ts";
import { DecisionSummary } from "../../core/report/decision-summary.ts";
import { type AnyOperation, type ApiDependencies, operation } from "./operation.ts";
import { RequestError } from "../request-error.ts";

/** What has become of an event or a request. */
export const RequestState = z.object({
  jobId: z.string(),
  state: z.enum(["waiting", "decided", "not_decided"]),
  /** Why nothing was decided: a stage failed, or the drift run did. */
  problem: z.string().nullable(),
  decision: DecisionSummary.nullable(),
});
type RequestState = z.infer<typeof RequestState>;

export const requestOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/requests/{jobId}",
    role: "viewer",
    summary: "Say what has become of an event or a request",
    params: z.strictObject({ jobId: z.string().regex(/^[\w-]{1,100}$/, "must be a job's id") }),
    requires: ["redis"],
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
  { client }: Pick<ApiDependencies, "client">,
  jobId: string,
  limitMs: number,
): Promise<RequestState | null> {
  if (!(await client.inbox.getJob(jobId))) return null;
  try {
    const decision = await client.waitForDecision(jobId, { limitMs });
    return { jobId, state: "decided", problem: null, decision };
  } catch (error) {
    if (error instanceof PermanentError)
      return { jobId, state: "not_decided", problem: messageOf(error), decision: null };
    if (error instanceof TransientError && error.code === "TIMEOUT")
      return { jobId, state: "waiting", problem: null, decision: null };
    throw error;
  }
}
