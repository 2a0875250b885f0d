import type { Guard } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import type { WeighedCheck, Evidence } from "../evidence.ts";
import { addChecks, switchOver } from "../explain/levers.ts";
import { timeOf, weighedChecks } from "../facts.ts";
import { featureNames, type Fields, type FieldValues } from "../fields.ts";
import { formatCount, formatInstant, toPlain } from "../format.ts";

const fields = {
  veto: { schema: featureNames, meaning: "Features whose alert means that the data is broken." },
  within: { schema: duration("1m"), default: "7d", meaning: "Older checks of these features do not count." },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** An alert on the quality of the data vetoes: retraining on broken data would make the model worse. */
export const dataQuality = {
  id: "data_quality",
  key: "dataQuality",
  reason: "data_quality",
  label: "Data quality intact?",
  ending: "the data quality alert leaves its window",
  fields,
  columns: ["feature"],
  shorthand: "veto",
  default: null,
  docs: {
    rule: "No training starts while the newest check of one of these features has an alert: the data is broken, not drifting.",
    example: "dataQuality: { veto: [null_rate] }",
  },
  needs: ({ within }) => ({ within, quietChecks: true }),
  evaluate({ evidence, now }, settings) {
    const vetoes = listVetoes(evidence, settings, now);
    if (vetoes.length === 0) return { required: 0, actual: 0, passed: true };
    const nextLookAt = Math.max(...vetoes.map((check) => timeOf(check) + toMs(settings.within)));
    return { required: 0, actual: vetoes.length, passed: false, nextLookAt };
  },
  report: ({ actual }) => [`features with broken data: ${formatCount(actual)}, none allowed`],
  brief: ({ evidence, settings, now }) => {
    const [newest] = listVetoes(evidence, settings, now);
    return `broken data: ${toPlain(newest?.feature ?? "")} has an alert`;
  },
  explain: ({ evidence, settings, now }) =>
    listVetoes(evidence, settings, now).map(
      ({ feature, at }) =>
        `Data quality: ${toPlain(feature ?? "")} has an alert of ${formatInstant(at)}, which vetoes a training`,
    ),
  advise: () => ["Repair the data; the next check without an alert lifts the veto"],
  levers: ({ veto }) => [
    switchOver(
      "quality_check",
      "data_quality",
      `a check without an alert on ${veto.map(toPlain).join(" and ")}`,
      (evidence, at) =>
        addChecks(
          evidence,
          veto.map((feature) => ({ feature, triggered: false })),
          at,
        ),
    ),
  ],
} as const satisfies Guard<typeof fields>;

/** The newest check of each named feature, if it has an alert. */
function listVetoes(evidence: Evidence, { veto, within }: Settings, now: number): WeighedCheck[] {
  const recent = weighedChecks(evidence).filter((check) => timeOf(check) > now - toMs(within));
  return veto.flatMap((name) => {
    const newest = recent.find(({ feature }) => feature === name);
    return newest?.triggered ? [newest] : [];
  });
}
