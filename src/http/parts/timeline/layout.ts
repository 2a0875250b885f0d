import { formatRatio } from "../../../core/format.ts";
import type { ScaleTime } from "d3-scale";
import type { CheckRow } from "../../../postgres/pages/check-history.ts";

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

export type TimeScale = ScaleTime<number, number>;

export const WIDTH = 1000;
export const LEFT = 214;
const RIGHT = 112;
/** The right edge of what is drawn; labels follow it. */
export const EDGE = WIDTH - RIGHT;
export const PANEL = 74;
export const LANE = 34;
export const GAP = 16;
export const AXIS = 26;
/** More than these are drawn without links, as marks only. */
export const LINKED = 200;

/** Two labels at the same height could not be read: how far the first one moves, and the second in the other direction. */
export function spreadLabels(first: number | null, second: number | null): number {
  if (first === null || second === null || Math.abs(first - second) >= 13) return 0;
  return first <= second ? -7 : 7;
}

/** A figure of any size in a few characters: 0.0975, 12,400, 1.2e-9. */
export function formatFigure(figure: number): string {
  const size = Math.abs(figure);
  return size !== 0 && (size < 1e-4 || size >= 1e7) ? figure.toExponential(1) : formatRatio(figure);
}
