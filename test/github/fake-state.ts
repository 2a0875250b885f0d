import type { CalledRequest } from "./contract.ts";
import type { DispatchAnswer } from "./refusals.ts";

/** How a run goes, once it is started. Words and pauses are the fake's to choose, as they are GitHub's. */
export interface Course {
  queuedMs: number;
  runningMs: number;
  conclusion: string;
  /** A word for its status that nobody has heard of. */
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

/** What the fake GitHub keeps; a test changes it to decide how the next requests are answered. */
export interface FakeState {
  /** Requests that GitHub's contract forbids, and answers of ours that it does not know. */
  faults: string[];
  requests: CalledRequest[];
  runs: FakeRun[];
  /** What becomes of the next dispatches, one after the other; then they are accepted. */
  next: DispatchAnswer[];
  course: Course;
  /** After so long a new run is in the list. */
  listLagMs: number;
  /** The token that may do everything; another one is answered with 401. */
  token: string | null;
  /** Permissions of the token, as a preflight sees them. */
  permissions: { push: boolean; scopes: string | null; actions: "read" | "write" };
  workflow: { state: string; text: string };
  /** Versions that it knows; an older server knows no newer one, and answers a dispatch with 204 at most. */
  isOldServer: boolean;
}
