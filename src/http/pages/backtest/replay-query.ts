import type { Cadence } from "../../../core/backtest/input.ts";
import { duration, toMs } from "../../../core/duration.ts";
import type { PageCall } from "../page.ts";

const SINCE = duration("1h");
const EVERY = duration("1m", "365d");

/** What a form about a replay asks for, and what is wrong with it. */
export interface ReplayQuery {
  since: string;
  cadence: Cadence | null;
  faults: string[];
}

/** Reads the period and the interval of a form. */
export function readReplayQuery({ since, every }: PageCall["query"]): ReplayQuery {
  const [ownSince, ownEvery] = [SINCE.safeParse(since || "90d"), every ? EVERY.safeParse(every) : null];
  const faults = [
    ...(ownSince.success ? [] : [`Last: ${ownSince.error.issues[0]?.message}, got ${JSON.stringify(since)}`]),
    ...(ownEvery === null || ownEvery.success
      ? []
      : [`Every: ${ownEvery.error.issues[0]?.message}, got ${JSON.stringify(every)}`]),
  ];
  return {
    since: ownSince.data ?? "90d",
    cadence: ownEvery?.data === undefined ? null : { everyMs: toMs(ownEvery.data) },
    faults,
  };
}
