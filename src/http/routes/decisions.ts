import { type Request, Router } from "express";
import { z } from "zod";
import { ModelName } from "../../../queues/jobs.ts";
import { formatCount, formatScore, formatTime } from "../../core/format.ts";
import type { DecisionRow } from "../../postgres/decision-log.ts";
import { escapeHtml } from "../html.ts";
import type { Route } from "../route.ts";

const Query = z.object({
  model: ModelName.optional().catch(undefined),
  limit: z.coerce.number().int().min(1).max(500).catch(50),
});

/** The decision log, as a page at `/decisions` and as JSON at `/api/v1/decisions`. Both take `?model=` and `?limit=`. */
export const decisions: Route = {
  doors: [{ method: "GET", path: "/decisions", role: "viewer" }],
  requires: ["postgres"],
  create({ database, config }) {
    const fetchRows = (request: Request): Promise<DecisionRow[]> => {
      const { model, limit } = Query.parse(request.query);
      return database.listDecisions({ model: model ?? null, limit });
    };
    const router = Router();
    router.get("/decisions", async (request, response) => {
      response.type("html").send(renderPage(await fetchRows(request), config.timeZone));
    });
    return router;
  },
};

const COLUMNS = [
  "#",
  "When",
  "Model",
  "Decision",
  "Reason",
  "Buffer",
  "Drift",
  "Cause",
  "Training",
  "Notes",
] as const;

function renderPage(rows: DecisionRow[], timeZone: string): string {
  const body = rows.map(
    (row) => `<tr class="${row.decision === "no_action" ? "" : "trigger"}">${cells(row, timeZone)}</tr>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Retrigger: decisions</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1c2330; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .7rem; border-bottom: 1px solid #dde2ea; vertical-align: top; }
td:nth-child(2) { white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.trigger { background: #fff4e5; }
</style></head><body>
<h1>Decisions</h1>
<p>Times are in ${escapeHtml(timeZone)}. <a href="/queues">Jobs and their logs</a> · <a href="/api/v1/decisions">as JSON</a></p>
${rows.length === 0 ? "<p>None yet.</p>" : `<table><thead><tr>${COLUMNS.map((name) => `<th>${name}</th>`).join("")}</tr></thead><tbody>\n${body.join("\n")}\n</tbody></table>`}
</body></html>`;
}

function cells(row: DecisionRow, timeZone: string): string {
  const text = (value: string | null): string => `<td>${escapeHtml(value ?? "")}</td>`;
  const training = ({ dispatch, url }: DecisionRow): string =>
    url === null || !/^https?:/.test(url)
      ? text(dispatch)
      : `<td><a href="${escapeHtml(url)}">${escapeHtml(dispatch ?? "")}</a></td>`;
  const number = (value: string): string => `<td class="number">${escapeHtml(value)}</td>`;
  return [
    number(String(row.id)),
    text(formatTime(row.decidedAt, timeZone)),
    text(row.model),
    text(row.decision),
    text(row.reason?.replaceAll(",", ", ") ?? null),
    number(row.bufferSize === null ? "N/A" : formatCount(row.bufferSize)),
    number(formatScore(row.driftScore)),
    text(row.cause),
    training(row),
    text(row.notes),
  ].join("");
}
