import { DispatchOutcome } from "../dispatch/dispatch.ts";
import { DispatchRequest } from "../dispatch/request.ts";
import { Verdict } from "../evaluate.ts";
import { Evidence, PastDecision } from "../evidence.ts";
import type { Policy } from "../policy.ts";
import { Superseded } from "../superseded.ts";

/** The input of a report. */
export interface ReportInput {
  model: string;
  runId: string;
  evidence: Evidence;
  policy: Policy;
  /** How the user named each setting of the policy, by its key: an environment variable or a place in the YAML file. */
  settingNames: Readonly<Record<string, string>>;
  verdict: Verdict;
  /** The request that the trainer sends, or would send; null for `no_action`. */
  request: DispatchRequest | null;
  /** The decision as recorded; null in a dry run and for a superseded run. */
  recorded: PastDecision | null;
  /** The trainer and the outcome of its dispatch; null if there is none. */
  dispatch: ReportedDispatch | null;
  /** The run that re-evaluates, and why; null unless this run was superseded. */
  superseded: { by: string; because: Superseded } | null;
  /** The address of the decision's page; null if it is not known. */
  page: string | null;
  /** IANA zone of the times in the report. */
  timeZone: string;
}

/** A dispatch as recorded; its state is null in a dry run, which has no row. */
type ReportedDispatch = Omit<DispatchOutcome, "state"> & {
  trainer: string;
  state: DispatchOutcome["state"] | null;
};
