import { scaleUtc } from "d3-scale";
import type { Backtest, ReplayedPolicy } from "../../../core/backtest/backtest.ts";
import { formatInstant } from "../../../core/format.ts";
import { AXIS, EDGE, LANE, LEFT, WIDTH } from "../../parts/timeline/layout.ts";
import { TimeAxis } from "../../parts/timeline/time-axis.tsx";

/** When each policy would have trained, on one axis in UTC. What only one of them does is filled. */
export function FiringsChart({ result }: { result: Backtest }) {
  const { from, to, inForce, candidate, gained, lost } = result;
  const x = scaleUtc([new Date(from), new Date(to)], [LEFT, EDGE]);
  const lanes = [
    { name: "In force", policy: inForce, own: new Set(lost.map(({ at }) => at)) },
    ...(candidate
      ? [{ name: "Candidate", policy: candidate, own: new Set(gained.map(({ at }) => at)) }]
      : []),
  ];
  const bottom = lanes.length * LANE;
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${WIDTH} ${bottom + AXIS}`}
      role="group"
      aria-label="Trainings over time. The lists below have the dates."
    >
      <TimeAxis x={x} bottom={bottom} />
      {lanes.map(({ name, policy, own }, index) => (
        <Lane name={name} policy={policy} own={own} top={index * LANE} x={(at) => x(at)} />
      ))}
    </svg>
  );
}

function Lane({
  name,
  policy,
  own,
  top,
  x,
}: {
  name: string;
  policy: ReplayedPolicy;
  own: ReadonlySet<number>;
  top: number;
  x: (at: number) => number;
}) {
  return (
    <g>
      <text class="name" x={0} y={top + 20}>
        {name}
      </text>
      {policy.firings.map(({ at, why }) => (
        <circle
          class={`decision ${own.has(at) ? "trigger" : ""}`}
          cx={x(at)}
          cy={top + 16}
          r={own.has(at) ? 7 : 5}
        >
          <title>{`${formatInstant(at)}: ${why}`}</title>
        </circle>
      ))}
    </g>
  );
}
