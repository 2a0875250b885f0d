import { scaleLinear } from "d3-scale";
import { renderToString } from "preact-render-to-string";
import { describeTrial } from "../../../core/backtest/tune-report.ts";
import type { Trial, Tuning } from "../../../core/backtest/tune.ts";

const WIDTH = 640;
const HEIGHT = 360;
const LEFT = 60;
const BOTTOM = HEIGHT - 46;

/** Trainings a month against unanswered drift: each point a policy, those that no other one beats joined by a line. */
export function FrontChart({ tuning: { trials } }: { tuning: Tuning }) {
  const x = scaleLinear(
    [0, Math.max(1, ...trials.map(({ measures }) => measures.perMonth))],
    [LEFT, WIDTH - 20],
  ).nice();
  const y = scaleLinear(
    [0, Math.max(1, ...trials.map(({ measures }) => measures.unansweredDays))],
    [BOTTOM, 16],
  ).nice();
  const place = ({ measures }: Trial): [number, number] => [x(measures.perMonth), y(measures.unansweredDays)];
  const front = trials.filter(({ isOnFront }) => isOnFront);
  return (
    <svg
      class="chart"
      xmlns="http://www.w3.org/2000/svg"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label="Trainings a month against days of unanswered drift. The table has the figures."
      font-family="sans-serif"
      font-size="12"
      fill="currentColor"
    >
      {x.ticks(6).map((tick) => (
        <text x={x(tick)} y={BOTTOM + 18} text-anchor="middle">
          {tick}
        </text>
      ))}
      {y.ticks(5).map((tick) => (
        <g>
          <line
            x1={LEFT}
            x2={WIDTH - 20}
            y1={y(tick)}
            y2={y(tick)}
            stroke="currentColor"
            stroke-opacity="0.15"
          />
          <text x={LEFT - 8} y={y(tick) + 4} text-anchor="end">
            {tick}
          </text>
        </g>
      ))}
      <text x={(LEFT + WIDTH) / 2} y={HEIGHT - 8} text-anchor="middle">
        trainings a month
      </text>
      <text transform={`translate(14 ${BOTTOM / 2}) rotate(-90)`} text-anchor="middle">
        days of unanswered drift
      </text>
      <text x={WIDTH - 20} y={12} text-anchor="end">
        <tspan fill="#c2185b">●</tspan> in force <tspan fill="#0b62c4">●</tspan> beaten by no other policy
      </text>
      <polyline
        points={front.map((trial) => place(trial).join(",")).join(" ")}
        fill="none"
        stroke="#0b62c4"
        stroke-width="2"
      />
      {trials.map((trial) => {
        const [cx, cy] = place(trial);
        const isInForce = trial.changes.length === 0;
        return (
          <circle
            cx={cx}
            cy={cy}
            r={isInForce ? 7 : trial.isOnFront ? 5 : 3}
            fill={isInForce ? "#c2185b" : trial.isOnFront ? "#0b62c4" : "currentColor"}
            fill-opacity={isInForce || trial.isOnFront ? 1 : 0.3}
          >
            <title>{`${describeTrial(trial)}: ${trial.measures.trainings} trainings, ${trial.measures.unansweredDays.toFixed(1)} days`}</title>
          </circle>
        );
      })}
    </svg>
  );
}

/** The chart as a file of its own. */
export function renderFrontSvg(tuning: Tuning): string {
  return `${renderToString(<FrontChart tuning={tuning} />)}\n`;
}
