import type { TimeScale } from "./layout.ts";

const TICKS = 8;

/** The ticks of a time axis in UTC, with a line up through the chart. @param bottom Where the chart ends. */
export function TimeAxis({ x, bottom }: { x: TimeScale; bottom: number }) {
  const format = x.tickFormat(TICKS);
  return (
    <>
      {x.ticks(TICKS).map((tick) => (
        <g>
          <line class="axis" x1={x(tick)} x2={x(tick)} y1={0} y2={bottom} />
          <text x={x(tick)} y={bottom + 18} text-anchor="middle">
            {format(tick)}
          </text>
        </g>
      ))}
    </>
  );
}
