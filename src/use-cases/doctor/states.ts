import type { ModelConfig } from "../../config/config.ts";
import { findUnshrunkBuffer } from "../../core/explain/warnings.ts";
import { about, fault, type Finding, warning } from "../../core/finding.ts";
import { formatInstant, toPlain } from "../../core/format.ts";
import { settleCommands } from "../../core/report/announce.ts";
import type { PartInspection } from "../../postgres/inspection/inspect.ts";
import type { ModelOverview } from "../../postgres/inspection/model-overview.ts";

/** What of a model's state is of interest: it is snoozed, awaits an approval, misses drift runs, or keeps its buffer. */
export function describeState(
  { model, snooze, approval, missingRuns, unknown, warnings, lastSucceeded }: ModelOverview,
  { policy, source, expectDriftRunEveryMs }: ModelConfig,
  buffer: PartInspection | undefined,
): Finding[] {
  const rows = buffer?.measured?.rows;
  const unshrunk =
    rows?.isExact === true
      ? findUnshrunkBuffer(
          {
            buffer: {
              size: rows.count,
              unit: source.buffer.unit,
              isSinceTraining: source.buffer.since !== null,
              smallestSince: lastSucceeded?.smallestSince ?? null,
            },
            trainings: { lastSucceeded },
          },
          policy,
        )
      : // Too many rows to count here; the latest decision has counted them.
        warnings.find(({ code }) => code === "buffer_did_not_shrink");
  return [
    ...(unknown === null
      ? []
      : [
          about(
            model,
            fault(
              `it is unknown whether ${unknown.trainer} has started the training of decision #${unknown.decisionId}${unknown.askedAt === null ? "" : `, requested at ${formatInstant(unknown.askedAt)}`}`,
              settleCommands(unknown.decisionId).join("\n     "),
            ),
            "a training is unknown",
          ),
        ]),
    ...(snooze === null
      ? []
      : [
          about(
            model,
            warning(
              `snoozed until ${formatInstant(snooze.until)} by ${toPlain(snooze.by)}: ${toPlain(snooze.reason)}`,
              `To end it earlier: npx retrigger unsnooze ${model}`,
            ),
            "snoozed",
          ),
        ]),
    ...(approval === null
      ? []
      : [
          about(
            model,
            warning(
              `decision #${approval.decisionId} awaits an approval until ${formatInstant(approval.expiresAt)}`,
              `npx retrigger approve ${approval.decisionId} --by NAME --reason TEXT\n     npx retrigger reject ${approval.decisionId} --by NAME --reason TEXT`,
            ),
            "awaiting approval",
          ),
        ]),
    ...(missingRuns === null || expectDriftRunEveryMs === null
      ? []
      : [
          about(
            model,
            warning(
              `drift runs are missing: one is expected every ${missingRuns.every}, ${missingRuns.lastSeenAt === null ? "and none has been seen yet" : `the last was seen at ${formatInstant(missingRuns.lastSeenAt)}`}`,
              "Run the drift monitoring, or find out why it stopped",
            ),
            "drift runs are missing",
          ),
        ]),
    ...(!unshrunk
      ? []
      : [about(model, warning(unshrunk.text), "the buffer did not shrink after the last training")]),
  ];
}
