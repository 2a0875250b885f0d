import { scaleLinear } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import { formatCount } from "../../../core/format.ts";
import type { DecisionPoint } from "../../../postgres/pages/model-history.ts";
import { EDGE, LEFT, PANEL, spreadLabels, type TimeScale } from "./layout.ts";

/** The buffer at each decision against what is required. */
export function BufferPanel({
  required,
  unit,
  decisions,
  x,
  top,
  now,
}: {
  required: number | null;
  unit: string;
  decisions: readonly DecisionPoint[];
  x: TimeScale;
  top: number;
  now: number;
}) {
  const points = decisions
    .filter((point) => point.bufferSize !== null)
    .toReversed()
    .map(({ at, bufferSize }) => ({ at: Date.parse(at), size: bufferSize ?? 0 }));
  const last = points.at(-1);
  const steps = last ? [...points, { at: now, size: last.size }] : [];
  const most = Math.max(1, required ?? 0, ...points.map(({ size }) => size));
  const y = scaleLinear([0, most * 1.12], [top + PANEL, top]);
  const at = (point: { at: number }): number => x(point.at);
  const size = (point: { size: number }): number => y(point.size);
  const limitY = required === null ? 0 : y(required);
  const lastY = last ? y(last.size) : 0;
  const shift = spreadLabels(last ? lastY : null, required === null ? null : limitY);
  return (
    <g>
      <text class="name" x={0} y={top + 14}>
        Buffer
      </text>
      <text x={0} y={top + 30}>{`${unit} at each decision`}</text>
      <line class="axis" x1={LEFT} x2={EDGE} y1={top + PANEL} y2={top + PANEL} />
      <text x={LEFT - 6} y={top + PANEL + 4} text-anchor="end">
        0
      </text>
      <path
        class="area"
        d={area<{ at: number; size: number }>(at, top + PANEL, size).curve(curveStepAfter)(steps) ?? ""}
      />
      <path
        class="series"
        d={line<{ at: number; size: number }>(at, size).curve(curveStepAfter)(steps) ?? ""}
      />
      {required !== null && (
        <>
          <line class="limit" x1={LEFT} x2={EDGE} y1={limitY} y2={limitY} />
          <text x={EDGE + 8} y={limitY + 4 - shift}>{`required ${compact(required)}`}</text>
        </>
      )}
      {last && (
        <text class="name" x={EDGE + 8} y={lastY + 4 + shift}>
          {compact(last.size)}
        </text>
      )}
    </g>
  );
}

const compactFormat = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** 700000 -> "700K": beside a chart, whose table has the exact figure. */
function compact(value: number): string {
  return value < 10_000 ? formatCount(value) : compactFormat.format(value);
}
