import { scaleLinear } from "d3-scale";
import { line } from "d3-shape";

const WIDTH = 112;
const HEIGHT = 28;
const MARGIN = 3;

/** Figures in their order, the last one marked, with the limit that they are measured against. Null: a gap. */
export function Sparkline({
  figures,
  limit,
  label,
}: {
  figures: readonly (number | null)[];
  limit: number;
  label: string;
}) {
  const known = figures.filter((figure) => figure !== null);
  const last = figures.findLastIndex((figure) => figure !== null);
  if (last === -1) return <span class="none">–</span>;
  const top = Math.max(...known, limit, Number.MIN_VALUE) * 1.05;
  const x = scaleLinear([0, Math.max(1, figures.length - 1)], [MARGIN, WIDTH - MARGIN]);
  const y = scaleLinear([0, top], [HEIGHT - MARGIN, MARGIN]);
  const path = line<number | null>()
    .defined((figure) => figure !== null)
    .x((_, index) => x(index))
    .y((figure) => y(figure ?? 0));
  const isOver = (figures[last] ?? 0) >= limit;
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={label}
    >
      <line class="limit" x1={0} x2={WIDTH} y1={y(limit)} y2={y(limit)} />
      <path d={path(figures) ?? ""} />
      <circle class={isOver ? "over" : ""} cx={x(last)} cy={y(figures[last] ?? 0)} r="2.75" />
    </svg>
  );
}
