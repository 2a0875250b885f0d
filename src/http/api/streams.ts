import { z } from "zod";
import type { Change, ChangeCursor } from "../../postgres/changes.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, type ApiDependencies, type Call, operation, type Reply } from "./operation.ts";
import { DecisionPath } from "./schemas.ts";

const INTERVAL_MS = 1_000;
/** A proxy closes a connection on which nothing comes for long. */
const HEARTBEAT_MS = 15_000;
/** A client that disconnects tries again after this time. */
const RETRY_MS = 2_000;
/** A stream is closed after this time, at the latest. */
const MAX_AGE_MS = 10 * 60_000;
/** How many streams one process serves, and how many of them to one caller. */
const MAX_STREAMS = 200;
const MAX_STREAMS_OF_A_CALLER = 50;

/** The streams of each caller. */
const open = new Map<string, number>();

const LAST_EVENT_ID = { "Last-Event-ID": "The id of the last event that was received" };

const DESCRIPTION =
  "Server-sent events: `decision` when one is recorded, `training` when a training changes. `Last-Event-ID` resumes. After a broken connection a change may come twice.";

export const streamOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/stream",
    role: "viewer",
    summary: "Follow decisions and trainings as they change",
    description: DESCRIPTION,
    headers: LAST_EVENT_ID,
    requires: ["postgres"],
    responses: { 200: { description: "The stream", types: ["text/event-stream"] } },
    handle: (call, dependencies) => follow(dependencies, call, null),
  }),
  operation({
    method: "GET",
    path: "/decisions/{id}/stream",
    role: "viewer",
    summary: "Follow a decision and its training",
    description: `${DESCRIPTION} Begins with the present state.`,
    params: DecisionPath,
    headers: LAST_EVENT_ID,
    requires: ["postgres"],
    responses: { 200: { description: "The stream", types: ["text/event-stream"] } },
    handle: (call, dependencies) => follow(dependencies, call, call.params.id),
  }),
];

async function follow(
  { database, log }: ApiDependencies,
  { request, caller }: Pick<Call<unknown, unknown, unknown>, "request" | "caller">,
  decisionId: number | null,
): Promise<Reply> {
  const from = parseCursor(request.get("last-event-id"));
  if (request.method === "HEAD") return { status: 200, type: "text/event-stream", body: "" };
  const release = takeSlot(`${caller.means}:${caller.tokenId ?? caller.name}`);
  let begin: ChangeCursor;
  let seen: Set<string>;
  try {
    if (decisionId !== null && !(await database.readDecision(decisionId)))
      throw new RequestError(404, `There is no decision ${decisionId}`, "NOT_FOUND");
    begin = from ?? (decisionId === null ? await database.readChangeCursor() : BEGINNING);
    // A new stream has seen what there was before it.
    const known = from || decisionId !== null ? [] : await database.listChanges(begin, null);
    seen = new Set(known.map(({ key }) => key));
  } catch (error) {
    release();
    throw error;
  }
  return {
    status: 200,
    type: "text/event-stream",
    stream(response) {
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
        if (performance.now() - wroteAt > HEARTBEAT_MS)
          write(`: still here\nid: ${formatCursor(cursor)}\n\n`);
        // A client comes back by itself, and its token is checked again.
        if (performance.now() - openedAt > MAX_AGE_MS) response.end();
        else if (!response.closed) timer = setTimeout(() => void poll(), INTERVAL_MS);
      };
      // The client may have gone while we read.
      if (response.closed || request.socket.destroyed) return release();
      response.once("close", () => {
        release();
        clearTimeout(timer);
      });
      // An id at once, so that a quiet stream resumes too.
      write(`retry: ${RETRY_MS}\nid: ${formatCursor(cursor)}\n\n`);
      void poll();
    },
  };
}

/** Takes one of the slots. @throws RequestError if the caller, or all together, have too many. */
function takeSlot(caller: string): () => void {
  const own = open.get(caller) ?? 0;
  const all = [...open.values()].reduce((sum, count) => sum + count, 0);
  if (own >= MAX_STREAMS_OF_A_CALLER || all >= MAX_STREAMS)
    throw new RequestError(503, "Too many streams are open. Try again later", "TOO_MANY_STREAMS");
  open.set(caller, own + 1);
  let isReleased = false;
  return () => {
    if (isReleased) return;
    isReleased = true;
    const left = (open.get(caller) ?? 1) - 1;
    if (left > 0) open.set(caller, left);
    else open.delete(caller);
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
  if (id === undefined || !z.iso.datetime({ offset: true }).safeParse(trainingAt).success)
    throw new RequestError(400, "Last-Event-ID is none that a stream has sent", "BAD_INPUT");
  return { decisionId: Number(id), trainingAt };
}
