import { describeCondition } from "../../../core/describe-condition.ts";
import { formatCount } from "../../../core/format.ts";
import { Policy } from "../../../core/policy.ts";
import type { Redact } from "../../../process/redact.ts";
import type { ModelView } from "../../../use-cases/model-view.ts";
import { SettingsYaml } from "../../parts/settings-yaml.tsx";
import { Time } from "../../parts/time.tsx";

/** The policy in force, and those of the past. */
export function Policies({
  view,
  model,
  redact,
  now,
}: {
  view: ModelView;
  model: string;
  redact: Redact;
  now: number;
}) {
  const { config, policies } = view;
  return (
    <section id="policy" data-part class="panel">
      <h2>Policy in force</h2>
      <p>{describeCondition(config.policy)}</p>
      <SettingsYaml model={model} config={config} redact={redact} />
      <h3>History of the policy</h3>
      {policies.length === 0 ? (
        <p class="soft">No decision was made yet.</p>
      ) : (
        <ul>
          {policies.map(({ policyHash, policy, from, to, decisions }) => {
            const parsed = Policy.safeParse(policy);
            return (
              <li>
                <Time at={from} now={now} distance="none" /> to <Time at={to} now={now} distance="none" />,{" "}
                {formatCount(decisions)} {decisions === 1 ? "decision" : "decisions"} (
                <code>{(policyHash ?? "").slice(0, 8)}</code>):{" "}
                {parsed.success ? describeCondition(parsed.data) : "a policy that this version cannot read"}
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}
