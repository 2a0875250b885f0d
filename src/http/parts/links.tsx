import { TRAINING_TONES } from "../../core/answer.ts";
import { type DispatchState, isMock } from "../../core/dispatch/dispatch.ts";
import type { TrainingRow } from "../../postgres/pages/training-log.ts";
import { Badge } from "./badge.tsx";

export const modelPath = (model: string): string => `/models/${encodeURIComponent(model)}`;
export const decisionPath = (id: number): string => `/decisions/${id}`;

export function ModelLink({ model }: { model: string }) {
  return <a href={modelPath(model)}>{model}</a>;
}

export function DecisionLink({ id }: { id: number | null }) {
  return id === null ? <span class="none">–</span> : <a href={decisionPath(id)}>{`#${id}`}</a>;
}

/** The page of a training at its trainer; plain text unless it is an http(s) URL. */
export function TrainingLink({ url, children }: { url: string | null; children: string }) {
  if (url === null || !/^https?:\/\//i.test(url)) return <>{children}</>;
  return (
    <a href={url} rel="noreferrer noopener" target="_blank">
      {children}
    </a>
  );
}

/** The state of a training. The mock's is `sent` for ever, and nothing was. */
export function TrainingState({ trainer, state }: Pick<TrainingRow, "trainer"> & { state: DispatchState }) {
  const isShown = isMock(trainer) && state === "sent";
  return <Badge tone={isShown ? "calm" : TRAINING_TONES[state]}>{isShown ? "shown only" : state}</Badge>;
}

/** A query with some of its parts replaced; null drops one. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  changes: Readonly<Record<string, string | null>> = {},
): string {
  const parts = Object.entries({ ...query, ...changes }).flatMap(([name, value]) =>
    value === undefined || value === null || value === "" || name === "done"
      ? []
      : [[name, value] as [string, string]],
  );
  return parts.length === 0 ? path : `${path}?${new URLSearchParams(parts).toString()}`;
}
