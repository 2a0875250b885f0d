/** Run events of OpenLineage (https://openlineage.io/spec/2-0-2/OpenLineage.json): what decided what, from which tables. */

/** A table, by the names that OpenLineage gives it. */
export interface Dataset {
  /** `postgres://host:port`. */
  namespace: string;
  /** `database.schema.table`. */
  name: string;
}

/** A decision as its events tell it. Times are ISO 8601. */
export interface LineageDecision {
  id: number;
  runId: string;
  model: string;
  cause: string | null;
  decision: string | null;
  reason: string | null;
  bufferSize: number | null;
  driftScore: number | null;
  policyHash: string | null;
  evaluator: number | null;
  sha256: string | null;
  /** When its evidence was read; null from a version that did not record it. */
  takenAt: string | null;
  decidedAt: string;
  /** The training that was requested; null for none. */
  training: LineageTraining | null;
}

export interface LineageTraining {
  runId: string;
  trainer: string;
  state: string;
  requestedAt: string;
  /** When it reached its state. */
  changedAt: string;
  externalId: string | null;
  url: string | null;
  conclusion: string | null;
  error: string | null;
  durationSeconds: number | null;
}

type Facet = Record<string, unknown>;

export interface RunEvent {
  eventType: "START" | "COMPLETE" | "FAIL" | "ABORT";
  eventTime: string;
  run: { runId: string; facets: Record<string, Facet> };
  job: { namespace: string; name: string };
  inputs: readonly Dataset[];
  outputs: readonly Dataset[];
  producer: string;
  schemaURL: string;
}

const SPEC = "https://openlineage.io/spec";
const EVENT = `${SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent`;
/** What every facet of a run conforms to; our own have no further schema. */
const RUN_FACET = `${SPEC}/2-0-2/OpenLineage.json#/$defs/RunFacet`;
const PARENT_FACET = `${SPEC}/facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet`;
const PRODUCER = "urn:retrigger";
const NAMESPACE = "retrigger";

/** The events of a decision and of the training that it requested, in the order in which they happened. */
export function describeLineage(decision: LineageDecision, inputs: readonly Dataset[]): RunEvent[] {
  const { runId, model, takenAt, decidedAt, training } = decision;
  const run = (eventType: RunEvent["eventType"], eventTime: string, facets: Record<string, Facet>) =>
    toEvent({
      eventType,
      eventTime,
      run: { runId, facets },
      job: decideJob(model),
      inputs,
    });
  return [
    run("START", takenAt ?? decidedAt, {}),
    run("COMPLETE", decidedAt, { retrigger_decision: toFacet(decisionFacet(decision)) }),
    ...(training === null ? [] : describeTraining(decision, training)),
  ];
}

const ENDS: Readonly<Record<string, RunEvent["eventType"]>> = {
  succeeded: "COMPLETE",
  failed: "FAIL",
  rejected: "FAIL",
  cancelled: "ABORT",
};

/** Its start, and its end if it has ended. */
function describeTraining({ runId, model, id }: LineageDecision, training: LineageTraining): RunEvent[] {
  const { runId: own, requestedAt, changedAt, ...told } = training;
  const parent = toFacet({ run: { runId }, job: decideJob(model) }, PARENT_FACET);
  const run = (eventType: RunEvent["eventType"], eventTime: string, facets: Record<string, Facet>) =>
    toEvent({
      eventType,
      eventTime,
      run: { runId: own, facets: { parent, ...facets } },
      job: { namespace: NAMESPACE, name: `retrigger.train.${model}` },
      inputs: [],
    });
  const end = ENDS[training.state];
  const facets = { retrigger_training: toFacet({ decisionId: id, ...told }) };
  return end === undefined
    ? [run("START", requestedAt, facets)]
    : [run("START", requestedAt, {}), run(end, changedAt, facets)];
}

function decisionFacet(decision: LineageDecision): Record<string, unknown> {
  const {
    id,
    runId: _run,
    model,
    takenAt: _taken,
    decidedAt: _decided,
    training: _training,
    ...told
  } = decision;
  return { decisionId: id, model, ...told };
}

function decideJob(model: string): RunEvent["job"] {
  return { namespace: NAMESPACE, name: `retrigger.decide.${model}` };
}

function toFacet(fields: Record<string, unknown>, schema = RUN_FACET): Facet {
  return { _producer: PRODUCER, _schemaURL: schema, ...fields };
}

function toEvent(event: Omit<RunEvent, "outputs" | "producer" | "schemaURL">): RunEvent {
  return { ...event, outputs: [], producer: PRODUCER, schemaURL: EVENT };
}
