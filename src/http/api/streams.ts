import type { Change, ChangeCursor } from "../../postgres/changes.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, type ApiDependencies, operation, type Reply } from "./operation.ts";
import { DecisionPath } from "./schemas.ts";

const INTERVAL_MS = 1_000;
/** A proxy closes a connection on which nothing comes for long. */
const HEARTBEAT_MS = 15_000;
/** A client that disconnects tries again after this time. */
const RETRY_MS = 2_000;
/** A stream is closed after this time, at the latest. */
const MAX_AGE_MS = 10 * 60_000;
/** How many streams one process serves. */
const MAX_STREAMS = 200;

let open = 0;

const DESCRIPTION =
  "Server-sent events: `decision` when one is recorded, `training` when a training changes. `Last-Event-ID` resumes. After a broken connection a change may come twice.";

export const streamOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/stream",
    role: "viewer",
    summary: "Follow decisions and trainings as they change",
    description: DESCRIPTION,
    requires: ["postgres"],
    responses: { 200: { description: "The stream", types: ["text/event-stream"] } },
    handle: ({ request }, dependencies) => follow(dependencies, request.get("last-event-id"), null),
  }),
  operation({
    method: "GET",
    path: "/decisions/{id}/stream",
    role: "viewer",
    summary: "Follow a decision and its training",
    description: `${DESCRIPTION} Begins with the present state.`,
    params: DecisionPath,
    requires: ["postgres"],
    responses: { 200: { description: "The stream", types: ["text/event-stream"] } },
    async handle({ params: { id }, request }, dependencies) {
      if (!(await dependencies.database.readDecision(id)))
        throw new RequestError(404, `There is no decision ${id}`, "NOT_FOUND");
      return follow(dependencies, request.get("last-event-id"), id);
    },
  }),
];

async function follow(
  { database, log }: ApiDependencies,
  lastEventId: string | undefined,
  decisionId: number | null,
): Promise<Reply> {
  if (open >= MAX_STREAMS)
    throw new RequestError(503, "Too many streams are open. Try again later", "TOO_MANY_STREAMS");
  const from = parseCursor(lastEventId);
  const begin = from ?? (decisionId === null ? await database.readChangeCursor() : BEGINNING);
  // A new stream has seen what there was before it.
  const seen = new Set(
    from || decisionId !== null ? [] : (await database.listChanges(begin, null)).map(({ key }) => key),
  );
  return {
    status: 200,
    type: "text/event-stream",
    stream(response) {
      open += 1;
      let cursor = begin;
      let timer: NodeJS.Timeout | undefined;
      const openedAt = performance.now();
      let wroteAt = openedAt;
      const write = (text: string): void => {
        response.write(text);
        wroteAt = performance.now();
      };
      const poll = async (): Promise<void> => {
        try {
          for (const change of await database.listChanges(cursor, decisionId)) {
            cursor = advance(cursor, change);
            if (!remember(seen, change.key)) continue;
            write(
              `event: ${change.kind}\nid: ${formatCursor(cursor)}\ndata: ${JSON.stringify(change.data)}\n\n`,
            );
          }
        } catch (error) {
          // Postgres is away; the stream goes on when it is back.
          log.debug({ err: error }, "a stream could not read what has changed");
        }
        if (performance.now() - wroteAt > HEARTBEAT_MS) write(": still here\n\n");
        // A client comes back by itself, and its token is checked again.
        if (performance.now() - openedAt > MAX_AGE_MS) response.end();
        else if (!response.closed) timer = setTimeout(() => void poll(), INTERVAL_MS);
      };
      response.once("close", () => {
        open -= 1;
        clearTimeout(timer);
      });
      write(`retry: ${RETRY_MS}\n\n`);
      void poll();
    },
  };
}

const BEGINNING: ChangeCursor = { decisionId: 0, trainingAt: "1970-01-01T00:00:00Z" };

/** Returns whether a change is new. Only the newest keys are kept: older changes are not read again. */
function remember(seen: Set<string>, key: string): boolean {
  if (seen.has(key)) return false;
  seen.add(key);
  const [oldest] = seen;
  if (seen.size > 5_000 && oldest !== undefined) seen.delete(oldest);
  return true;
}

function advance({ decisionId, trainingAt }: ChangeCursor, change: Change): ChangeCursor {
  if (change.at === null) return { decisionId: Math.max(decisionId, change.decisionId), trainingAt };
  return { decisionId, trainingAt: Date.parse(change.at) > Date.parse(trainingAt) ? change.at : trainingAt };
}

const formatCursor = ({ decisionId, trainingAt }: ChangeCursor): string => `${decisionId}~${trainingAt}`;

/** The cursor of a `Last-Event-ID`; null for none. @throws RequestError if it is none of ours. */
function parseCursor(text: string | undefined): ChangeCursor | null {
  if (text === undefined || text === "") return null;
  const [, id, trainingAt = ""] = /^(\d{1,9})~(\d{4}-[\dT:.+Z-]{10,40})$/.exec(text) ?? [];
  if (id === undefined || Number.isNaN(Date.parse(trainingAt)))
    throw new RequestError(400, "Last-Event-ID is none that a stream has sent", "BAD_INPUT");
  return { decisionId: Number(id), trainingAt };
}
