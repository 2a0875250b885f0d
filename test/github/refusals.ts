/** A response with which GitHub starts nothing. */
export interface Refusal {
  status: number;
  /** GitHub's own message. `$TOKEN` is replaced by the Authorization header of the request. */
  message: string;
  headers?: () => Record<string, string>;
}

const secondsFromNow = (seconds: number): string => String(Math.ceil(Date.now() / 1000) + seconds);

/** Refusals that only an operator can fix. */
export const PERMANENT_REFUSALS = {
  "401": { status: 401, message: "Bad credentials" },
  "401 quoting": { status: 401, message: "Bad credentials: $TOKEN" },
  "403": { status: 403, message: "Resource not accessible by personal access token" },
  "404": { status: 404, message: "Not Found" },
  "422 trigger": { status: 422, message: "Workflow does not have 'workflow_dispatch' trigger" },
  "422 inputs": { status: 422, message: 'Unexpected inputs provided: ["decision_id"]' },
  "422 ref": { status: 422, message: "No ref found for: nowhere" },
  "422 disabled": { status: 422, message: "Cannot trigger a 'workflow_dispatch' on a disabled workflow" },
} satisfies Record<string, Refusal>;

/** Refusals that end after some time. */
export const RATE_LIMITS = {
  "429 retry-after": { status: 429, message: "Too many requests", headers: () => ({ "retry-after": "1" }) },
  "403 retry-after": {
    status: 403,
    message: "You have exceeded a secondary rate limit",
    headers: () => ({ "retry-after": "1" }),
  },
  "403 reset": {
    status: 403,
    message: "API rate limit exceeded",
    headers: () => ({ "x-ratelimit-remaining": "0", "x-ratelimit-reset": secondsFromNow(1) }),
  },
  "403 without headers": { status: 403, message: "You have exceeded a secondary rate limit" },
} satisfies Record<string, Refusal>;

export const REFUSALS: Record<keyof typeof PERMANENT_REFUSALS | keyof typeof RATE_LIMITS, Refusal> = {
  ...PERMANENT_REFUSALS,
  ...RATE_LIMITS,
};

/** The other ways in which GitHub may respond to a dispatch. */
export const DISPATCH_RESPONSES = [
  "accept",
  "204",
  "double",
  "double and drop",
  "double, naming the newer",
  "accept and drop",
  "accept and hang",
  "accept and 502",
  "drop",
  "500",
] as const;

export type DispatchResponse = (typeof DISPATCH_RESPONSES)[number] | keyof typeof REFUSALS;
