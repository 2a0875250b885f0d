import { TRAINING_TONES } from "../../../core/answer.ts";
import { isMock } from "../../../core/dispatch/dispatch.ts";
import { formatInstant } from "../../../core/format.ts";
import type { DecisionPoint, ModelHistory } from "../../../postgres/pages/model-history.ts";
import { decisionPath } from "../links.tsx";
import { EDGE, LANE, LINKED, type Planned, type TimeScale } from "./layout.ts";

export function DecisionLane({
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

export function TrainingLane({
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

export function PlannedLane({ planned, x, top }: { planned: readonly Planned[]; x: TimeScale; top: number }) {
  return (
    <g>
      <text class="name" x={0} y={top + 20}>
        Planned
      </text>
      {planned.map(({ label, at }, index) => {
        const isRight = x(at) > EDGE - 150;
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
