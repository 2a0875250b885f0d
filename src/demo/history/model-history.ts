import type { PastService, SampleTraining } from "./past-service.ts";

/** The sample data of a model's past: what was reported when, and what people did. Not what was decided. */
export interface ModelHistory {
  model: string;
  steps: readonly Step[];
  /** How its trainings go, in order. */
  trainings: readonly SampleTraining[];
}

export interface Step {
  /** Unix milliseconds. */
  at: number;
  run(service: PastService): Promise<void>;
}

/** A feature that is checked each day. */
export interface SampleFeature {
  feature: string;
  threshold: number;
  /** Its usual score. */
  usual: number;
  /** Its score on the other days, by how many days ago that was. */
  unusual?: Readonly<Record<number, number>>;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
const DAYS = 28;

/** The drift runs of four weeks, one a day, each reported together with its event and the rows that have arrived. */
export function createDailyRuns(
  model: string,
  features: readonly SampleFeature[],
  { rows: usualRows, timeOf }: { rows: number; timeOf: (day: number) => number },
): Step[] {
  return Array.from({ length: DAYS }, (_, index) => {
    const day = DAYS - 1 - index;
    const at = timeOf(day);
    const runId = `${model}-${new Date(at).toISOString().slice(0, 16)}`;
    const source = `${model}-monitor`;
    const rows = Math.round(vary(usualRows, day));
    const checks = features.map(({ feature, threshold, usual, unusual = {} }, position) => {
      const score = unusual[day] ?? Number(vary(usual, day + position).toFixed(4));
      return { feature, score, threshold, samples: rows };
    });
    return {
      at,
      async run(service) {
        await service.saveReports(model, { runId, source, checks, rows });
        await service.receiveEvent(model, { runId, source });
      },
    };
  });
}

/** When the run of a day ends: on each day some minutes earlier or later. @param agoMs How long ago that of today did. */
export function timeOfRun(now: Date, day: number, agoMs: number): number {
  return Math.round(now.getTime() - day * DAY_MS - vary(agoMs, day));
}

/** A figure that differs from day to day by up to a quarter, the same in every demo. */
function vary(figure: number, day: number): number {
  return figure * (1 + Math.sin(day * 2.4) / 4);
}
