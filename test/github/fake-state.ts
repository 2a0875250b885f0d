import type { CalledRequest } from "./contract.ts";
import type { DispatchResponse } from "./refusals.ts";

/** How a run proceeds once it is started. */
export interface Course {
  queuedMs: number;
  runningMs: number;
  conclusion: string;
  /** A status while it runs that GitHub's API does not document. */
  strangeStatus?: string;
}

export interface FakeRun {
  id: number;
  name: string;
  inputs: Record<string, unknown>;
  createdAt: number;
  attempt: number;
  attemptAt: number;
  course: Course;
}

/** The state of the fake GitHub. A test changes it to decide how the fake responds. */
export interface FakeState {
  /** Requests and responses that violate GitHub's own description of its API. */
  faults: string[];
  requests: CalledRequest[];
  runs: FakeRun[];
  /** The responses to the next dispatches, in order; later dispatches are accepted. */
  next: DispatchResponse[];
  course: Course;
  /** How long a new run is missing from the list of runs. */
  listLagMs: number;
  /** The only valid token; others get a 401. Null accepts any token. */
  token: string | null;
  /** Permissions of the token as a preflight sees them. */
  permissions: { push: boolean; scopes: string | null; actions: "read" | "write" };
  workflow: { state: string; text: string };
  /** Whether it is an older server, which knows only API version 2022-11-28 and accepts a dispatch with 204. */
  isOldServer: boolean;
}
