import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { createSlots } from "../../process/slots.ts";
import { exportDecisions } from "../../use-cases/export/export.ts";
import { EXPORT_FILES, EXPORT_FORMATS } from "../../use-cases/export/formats.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { DecisionQuery, toDecisionFilter } from "./schemas.ts";

/** Each holds a page of rows for as long as its reader takes. */
const MAX_EXPORTS = 4;
/** A reader that takes nothing for so long is cut off. */
const STALLED_MS = 60_000;

/** What a stream says if its reader has gone. */
const HAS_LEFT = "ERR_STREAM_PREMATURE_CLOSE";

const slots = createSlots(MAX_EXPORTS);

const ExportQuery = DecisionQuery.omit({ cursor: true, limit: true }).extend({
  format: z.enum(EXPORT_FORMATS),
});

const TYPES = [...new Set(Object.values(EXPORT_FILES).map(({ type }) => type))];

export const exportOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/decisions/export",
    role: "viewer",
    summary: "Export decisions as CSV, JSON Lines or OpenLineage run events, oldest first",
    description:
      "The header `Retrigger-Export` says how many decisions it has, and in `notes` what is left out. The body is streamed; if it breaks off, the connection is closed before its end.",
    query: ExportQuery,
    requires: ["postgres"],
    responses: { 200: { description: "The decisions", types: TYPES } },
    async handle({ query: { format, ...query }, request }, { database, live, redact, log }) {
      const filter = toDecisionFilter({ ...query, cursor: undefined, limit: 0 });
      const { type, name } = EXPORT_FILES[format];
      const release = slots.take();
      if (release === null)
        throw new RequestError(503, "Too many exports are under way. Try again later", "TOO_MANY_EXPORTS");
      try {
        const dependencies = { database, models: live.models(), redact };
        const { decisions, notes, pages } = await exportDecisions(dependencies, filter, format);
        const headers = {
          "Content-Disposition": `attachment; filename=${name}`,
          "Retrigger-Export": toHeader({ decisions, notes }),
        };
        if (request.method === "HEAD") {
          release();
          return { status: 200, type, headers, body: "" };
        }
        return {
          status: 200,
          type,
          headers,
          stream(response) {
            response.setTimeout(STALLED_MS, () => response.destroy());
            // An error closes the connection, so that a part does not pass for the whole.
            void pipeline(Readable.from(pages, { objectMode: false }), response)
              .catch((error: unknown) => {
                const hasLeft = error instanceof Error && "code" in error && error.code === HAS_LEFT;
                log[hasLeft ? "debug" : "warn"]({ err: error }, "an export broke off");
              })
              .finally(release);
          },
        };
      } catch (error) {
        release();
        throw error;
      }
    },
  }),
];

/** JSON of ASCII characters, as a header must be. */
function toHeader(value: object): string {
  return JSON.stringify(value).replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
