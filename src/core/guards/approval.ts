import type { Guard, GuardInput, Measurement } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import { switchOver } from "../explain/levers.ts";
import type { Fields } from "../fields.ts";
import { formatInstant, toPlain } from "../format.ts";

const fields = {
  expires: {
    schema: duration("1m", "365d"),
    default: "24h",
    meaning: "How long an approval may take, and how long it or a rejection holds.",
  },
} as const satisfies Fields;

/** A person must approve a training that everything else calls for. */
export const approval = {
  id: "approval",
  key: "approval",
  reason: "awaiting_approval",
  label: "Approved?",
  fields,
  shorthand: "expires",
  default: null,
  isRenewed: true,
  docs: {
    rule: "A training needs the approval of a person (`retrigger approve`); then the evidence is gathered again, and the policy must still hold.",
    example: "approval: { expires: 24h }",
  },
  evaluate(input, { expires }) {
    if (!input.othersPass) return measure(true);
    const end = findEnd(input, toMs(expires));
    return end === null ? measure(true) : { ...measure(false), nextLookAt: end };
  },
  report: () => ["a training needs an approval"],
  brief: ({ evidence, now, settings: { expires } }) => {
    const { approval: request } = evidence.interventions;
    const rejectedUntil = findRejectionEnd(request, toMs(expires));
    return request && rejectedUntil !== null && rejectedUntil > now
      ? `rejected by ${toPlain(request.by ?? "")} (${toPlain(request.reason ?? "")})`
      : "a person must approve the training";
  },
  explain({ evidence, now, settings: { expires } }) {
    const { approval: request } = evidence.interventions;
    const rejectedUntil = findRejectionEnd(request, toMs(expires));
    if (request && rejectedUntil !== null && rejectedUntil > now)
      return [
        `Approval: rejected by ${toPlain(request.by ?? "")} (${toPlain(request.reason ?? "")}); requested again after ${formatInstant(rejectedUntil)}`,
      ];
    if (request?.state === "open" && Date.parse(request.expiresAt) > now)
      return [
        `Approval: requested by decision #${request.decisionId}, until ${formatInstant(request.expiresAt)}`,
      ];
    return [`Approval: requested by this decision; the request expires after ${expires}`];
  },
  advise({ evidence, now, decisionId, settings: { expires } }) {
    const { approval: request } = evidence.interventions;
    if ((findRejectionEnd(request, toMs(expires)) ?? now) > now) return [];
    const isOpen = request?.state === "open" && Date.parse(request.expiresAt) > now;
    const id = (isOpen ? request.decisionId : decisionId) ?? "<decision>";
    return [
      `Approve it: npx retrigger approve ${id} --by NAME --reason TEXT`,
      `Reject it:  npx retrigger reject ${id} --by NAME --reason TEXT`,
    ];
  },
  levers: () => [
    switchOver("approved", "approval", "an approval", (evidence) => ({
      ...evidence,
      interventions: {
        ...evidence.interventions,
        approval: {
          decisionId: 0,
          state: "approved",
          requestedAt: evidence.takenAt,
          expiresAt: "9999-01-01T00:00:00Z",
          answeredAt: evidence.takenAt,
          by: null,
          reason: null,
        },
      },
    })),
  ],
} as const satisfies Guard<typeof fields>;

/** Until when a rejection holds, Unix milliseconds; null if the request was not rejected. */
export function findRejectionEnd(
  request: Evidence["interventions"]["approval"],
  expiresMs: number,
): number | null {
  return request?.state === "rejected"
    ? Date.parse(request.answeredAt ?? request.requestedAt) + expiresMs
    : null;
}

function measure(passed: boolean): Measurement {
  return { required: 1, actual: passed ? 1 : 0, passed };
}

/** Until when the missing approval objects; null if there is one. */
function findEnd({ evidence, now }: GuardInput, expiresMs: number): number | null {
  const { approval: request } = evidence.interventions;
  const newRequestEnd = now + expiresMs;
  if (request === null) return newRequestEnd;
  const expiresAt = Date.parse(request.expiresAt);
  switch (request.state) {
    case "approved":
      return now < expiresAt ? null : newRequestEnd;
    case "open":
      return now < expiresAt ? expiresAt : newRequestEnd;
    case "rejected": {
      const end = findRejectionEnd(request, expiresMs) ?? now;
      return now < end ? end : newRequestEnd;
    }
    case "used":
    case "void":
      return newRequestEnd;
    default:
      return request.state satisfies never;
  }
}
