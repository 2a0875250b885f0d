import { scaleLinear } from "d3-scale";
import { curveStepAfter, line } from "d3-shape";
import { formatInstant } from "../../../core/format.ts";
import type { CheckRow } from "../../../postgres/pages/check-history.ts";
import {
  EDGE,
  formatFigure,
  type FeatureSeries,
  LEFT,
  LINKED,
  PANEL,
  spreadLabels,
  type TimeScale,
} from "./layout.ts";

/** The scores of a feature against its threshold. */
export function FeaturePanel({
  series: { feature, checks },
  x,
  top,
}: {
  series: FeatureSeries;
  x: TimeScale;
  top: number;
}) {
  const scored = checks.filter((check) => check.score !== null);
  const figures = checks.flatMap(({ score, threshold }) => [score ?? 0, threshold ?? 0]);
  const low = Math.min(0, ...figures);
  const positive = figures.filter((figure) => figure > 0);
  const most = positive.length === 0 ? 1 : Math.max(...positive);
  const y = scaleLinear([low, most * 1.12], [top + PANEL, top]);
  const at = ({ at: time }: CheckRow): number => x(Date.parse(time));
  const scores = line<CheckRow>(at, ({ score }) => y(score ?? 0));
  const limits = line<CheckRow>(at, ({ threshold }) => y(threshold ?? 0))
    .defined(({ threshold }) => threshold !== null)
    .curve(curveStepAfter);
  const last = scored.at(-1);
  const threshold = checks.findLast((check) => check.threshold !== null)?.threshold ?? null;
  const lastY = last ? y(last.score ?? 0) : 0;
  const limitY = threshold === null ? 0 : y(threshold);
  const shift = spreadLabels(last ? lastY : null, threshold === null ? null : limitY);
  return (
    <g>
      <text class="name" x={0} y={top + 14}>
        {shorten(feature)}
      </text>
      <line class="axis" x1={LEFT} x2={EDGE} y1={y(0)} y2={y(0)} />
      <text x={LEFT - 6} y={y(0) + 4} text-anchor="end">
        0
      </text>
      <text x={LEFT - 6} y={y(most) + 4} text-anchor="end">
        {formatFigure(most)}
      </text>
      <path class="limit" d={limits(withEdge(checks, x)) ?? ""} />
      <path class="series" d={scores(scored) ?? ""} />
      {(checks.length <= LINKED ? checks : checks.filter(({ triggered }) => triggered)).map((check) => (
        <g>
          <title>{describeCheck(check)}</title>
          {check.triggered ? (
            <path class="alert" d={triangle(at(check), y(check.score ?? 0))} />
          ) : (
            <circle class="point" cx={at(check)} cy={y(check.score ?? 0)} r="2.5" />
          )}
        </g>
      ))}
      {last !== undefined && (
        <text class="name" x={EDGE + 8} y={lastY + 4 + shift}>
          {formatFigure(last.score ?? 0)}
        </text>
      )}
      {threshold !== null && (
        <text x={EDGE + 8} y={limitY + 4 - shift}>{`threshold ${formatFigure(threshold)}`}</text>
      )}
    </g>
  );
}

/** The last check once more at the edge of the chart: its threshold holds until another one. */
function withEdge(checks: readonly CheckRow[], x: TimeScale): CheckRow[] {
  const last = checks.at(-1);
  const edge = x.domain()[1];
  return last && edge ? [...checks, { ...last, at: edge.toISOString() }] : [...checks];
}

function describeCheck({ at, score, threshold, triggered }: CheckRow): string {
  const figures = `${score === null ? "no score" : formatFigure(score)}${threshold === null ? "" : `, threshold ${formatFigure(threshold)}`}`;
  return `${formatInstant(at)}: ${figures}${triggered ? ", alert" : ""}`;
}

function triangle(x: number, y: number): string {
  return `M${x},${y - 6}l6,10h-12z`;
}

function shorten(text: string): string {
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}
