import { isMock } from "../../core/dispatch/dispatch.ts";
import { scaleLinear, scaleUtc, type ScaleTime } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import { TRAINING_TONES } from "../../core/answer.ts";
import { formatCount, formatInstant, formatRatio } from "../../core/format.ts";
import type { CheckRow } from "../../postgres/pages/check-history.ts";
import type { DecisionPoint, ModelHistory } from "../../postgres/pages/model-history.ts";
import { decisionPath } from "./links.tsx";

/** The checks of one feature, the oldest first. */
export interface FeatureSeries {
  feature: string;
  checks: readonly CheckRow[];
}

export interface Planned {
  label: string;
  /** Unix milliseconds. */
  at: number;
}

const WIDTH = 1000;
const LEFT = 214;
const RIGHT = 112;
const PANEL = 74;
const LANE = 34;
const GAP = 16;
const AXIS = 26;
/** More than these are drawn without links, as marks only. */
const LINKED = 200;

type TimeScale = ScaleTime<number, number>;

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
  const x = scaleUtc([new Date(from), new Date(to)], [LEFT, WIDTH - RIGHT]);
  const panels = features.length * (PANEL + GAP);
  const bufferTop = panels;
  const lanesTop = bufferTop + PANEL + GAP;
  const bottom = lanesTop + 3 * LANE;
  const ticks = x.ticks(8);
  return (
    <svg
      class="chart"
      viewBox={`0 -18 ${WIDTH} ${bottom + AXIS + 18}`}
      role="group"
      aria-label={`Drift, buffer, decisions and trainings over time. The table below has the figures.`}
    >
      {ticks.map((tick) => (
        <g>
          <line class="axis" x1={x(tick)} x2={x(tick)} y1={0} y2={bottom} />
          <text x={x(tick)} y={bottom + 18} text-anchor="middle">
            {x.tickFormat(8)(tick)}
          </text>
        </g>
      ))}
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

function FeaturePanel({
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
  const most = Math.max(Number.MIN_VALUE, ...figures);
  const y = scaleLinear([low, most * 1.12], [top + PANEL, top]);
  const at = ({ at: time }: CheckRow): number => x(Date.parse(time));
  const scores = line<CheckRow>(at, ({ score }) => y(score ?? 0));
  const limits = line<CheckRow>(at, ({ threshold }) => y(threshold ?? 0))
    .defined(({ threshold }) => threshold !== null)
    .curve(curveStepAfter);
  const last = scored.at(-1);
  const threshold = checks.findLast((check) => check.threshold !== null)?.threshold ?? null;
  const edge = WIDTH - RIGHT;
  const lastY = last ? y(last.score ?? 0) : 0;
  const limitY = threshold === null ? 0 : y(threshold);
  // Two labels at the same height could not be read.
  const isClose = last !== undefined && threshold !== null && Math.abs(lastY - limitY) < 13;
  const shift = isClose ? (lastY <= limitY ? -7 : 7) : 0;
  return (
    <g>
      <text class="name" x={0} y={top + 14}>
        {shorten(feature)}
      </text>
      <line class="axis" x1={LEFT} x2={edge} y1={y(0)} y2={y(0)} />
      <text x={LEFT - 6} y={y(0) + 4} text-anchor="end">
        0
      </text>
      <text x={LEFT - 6} y={y(most) + 4} text-anchor="end">
        {formatRatio(most)}
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
        <text class="name" x={edge + 8} y={lastY + 4 + shift}>
          {formatRatio(last.score ?? 0)}
        </text>
      )}
      {threshold !== null && (
        <text x={edge + 8} y={limitY + 4 - shift}>{`threshold ${formatRatio(threshold)}`}</text>
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
  const figures = `${score === null ? "no score" : formatRatio(score)}${threshold === null ? "" : `, threshold ${formatRatio(threshold)}`}`;
  return `${formatInstant(at)}: ${figures}${triggered ? ", alert" : ""}`;
}

function BufferPanel({
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
  const edge = WIDTH - RIGHT;
  const at = (point: { at: number }): number => x(point.at);
  const size = (point: { size: number }): number => y(point.size);
  const limitY = required === null ? 0 : y(required);
  const lastY = last ? y(last.size) : 0;
  const isClose = last !== undefined && required !== null && Math.abs(lastY - limitY) < 13;
  const shift = isClose ? (lastY <= limitY ? -7 : 7) : 0;
  return (
    <g>
      <text class="name" x={0} y={top + 14}>
        Buffer
      </text>
      <text x={0} y={top + 30}>{`${unit} at each decision`}</text>
      <line class="axis" x1={LEFT} x2={edge} y1={top + PANEL} y2={top + PANEL} />
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
          <line class="limit" x1={LEFT} x2={edge} y1={limitY} y2={limitY} />
          <text x={edge + 8} y={limitY + 4 - shift}>{`required ${compact(required)}`}</text>
        </>
      )}
      {last && (
        <text class="name" x={edge + 8} y={lastY + 4 + shift}>
          {compact(last.size)}
        </text>
      )}
    </g>
  );
}

function DecisionLane({
  decisions,
  x,
  top,
}: {
  decisions: readonly DecisionPoint[];
  x: TimeScale;
  top: number;
}) {
  const isLinked = decisions.length <= LINKED;
  return (
    <g>
      <text class="name" x={0} y={top + 20}>
        Decisions
      </text>
      {decisions.map((point) => {
        const isTrigger = point.decision.startsWith("trigger");
        const mark = (
          <circle
            class={`decision ${isTrigger ? "trigger" : ""}`}
            cx={x(Date.parse(point.at))}
            cy={top + 16}
            r={isTrigger ? 7 : 4.5}
          />
        );
        if (!isLinked && !isTrigger) return mark;
        const text = `#${point.id}, ${formatInstant(point.at)}: ${point.decision} (${point.codes.join(", ")})`;
        return (
          <a href={decisionPath(point.id)} aria-label={text} tabIndex={isTrigger ? undefined : -1}>
            <title>{text}</title>
            {mark}
          </a>
        );
      })}
    </g>
  );
}

function TrainingLane({
  trainings,
  x,
  top,
  now,
}: {
  trainings: ModelHistory["trainings"];
  x: TimeScale;
  top: number;
  now: number;
}) {
  const [from = new Date(0)] = x.domain();
  return (
    <g>
      <text class="name" x={0} y={top + 20}>
        Trainings
      </text>
      {trainings.map(({ decisionId, trainer, state, requestedAt, endedAt }) => {
        const isShownOnly = isMock(trainer);
        const start = Math.max(from.getTime(), Date.parse(requestedAt));
        const isOpen =
          endedAt === null && !isShownOnly && ["pending", "sent", "running", "unknown"].includes(state);
        const end = endedAt === null ? (isOpen ? now : start) : Date.parse(endedAt);
        const text = `Training of decision #${decisionId} (${trainer}): ${isShownOnly ? "only shown" : state}, requested ${formatInstant(requestedAt)}`;
        return (
          <a href={decisionPath(decisionId)} aria-label={text}>
            <title>{text}</title>
            <rect
              class={`training ${isShownOnly ? "calm" : TRAINING_TONES[state]}`}
              x={x(start)}
              y={top + 9}
              width={Math.max(6, x(end) - x(start))}
              height={14}
              rx={3}
            />
          </a>
        );
      })}
    </g>
  );
}

function PlannedLane({ planned, x, top }: { planned: readonly Planned[]; x: TimeScale; top: number }) {
  return (
    <g>
      <text class="name" x={0} y={top + 20}>
        Planned
      </text>
      {planned.map(({ label, at }, index) => {
        const isRight = x(at) > WIDTH - RIGHT - 150;
        return (
          <g>
            <line class="planned" x1={x(at)} x2={x(at)} y1={0} y2={top + LANE} />
            <text
              class="planned-label"
              x={x(at) + (isRight ? -5 : 5)}
              y={top + 12 + (index % 2) * 14}
              text-anchor={isRight ? "end" : "start"}
            >
              {label}
            </text>
          </g>
        );
      })}
    </g>
  );
}

function triangle(x: number, y: number): string {
  return `M${x},${y - 6}l6,10h-12z`;
}

function shorten(text: string): string {
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}

const compactFormat = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** 700000 -> "700K": beside a chart, whose table has the exact figure. */
function compact(value: number): string {
  return value < 10_000 ? formatCount(value) : compactFormat.format(value);
}
