import { scaleUtc } from "d3-scale";
import type { ModelHistory } from "../../../postgres/pages/model-history.ts";
import { BufferPanel } from "./buffer-panel.tsx";
import { FeaturePanel } from "./feature-panel.tsx";
import { DecisionLane, PlannedLane, TrainingLane } from "./lanes.tsx";
import { AXIS, EDGE, type FeatureSeries, GAP, LANE, LEFT, PANEL, type Planned, WIDTH } from "./layout.ts";
import { TimeAxis } from "./time-axis.tsx";

/**
 * A model's past and plans on one time axis: a panel for each feature with its threshold, one for the buffer, a lane each for
 * decisions, trainings and what is planned. Times are Unix milliseconds; the axis is in UTC.
 */
export function Timeline({
  range: [from, to],
  now,
  features,
  buffer,
  history,
  planned,
}: {
  range: readonly [number, number];
  now: number;
  features: readonly FeatureSeries[];
  buffer: { required: number | null; unit: string };
  history: ModelHistory;
  planned: readonly Planned[];
}) {
  const x = scaleUtc([new Date(from), new Date(to)], [LEFT, EDGE]);
  const panels = features.length * (PANEL + GAP);
  const bufferTop = panels;
  const lanesTop = bufferTop + PANEL + GAP;
  const bottom = lanesTop + 3 * LANE;
  return (
    <svg
      class="chart"
      viewBox={`0 -18 ${WIDTH} ${bottom + AXIS + 18}`}
      role="group"
      aria-label={`Drift, buffer, decisions and trainings over time. The table below has the figures.`}
    >
      <TimeAxis x={x} bottom={bottom} />
      {features.map((series, index) => (
        <FeaturePanel series={series} x={x} top={index * (PANEL + GAP)} />
      ))}
      <BufferPanel {...buffer} decisions={history.decisions} x={x} top={bufferTop} now={now} />
      <DecisionLane decisions={history.decisions} x={x} top={lanesTop} />
      <TrainingLane trainings={history.trainings} x={x} top={lanesTop + LANE} now={now} />
      <PlannedLane planned={planned} x={x} top={lanesTop + 2 * LANE} />
      <line class="now" x1={x(now)} x2={x(now)} y1={0} y2={bottom} />
      <text x={x(now)} y={-6} text-anchor="middle" class="name">
        now
      </text>
    </svg>
  );
}
