import { formatCount, formatRatio } from "../../core/format.ts";
import { needsPerson, type Standing, STANDINGS } from "../../core/standing.ts";
import { describeRows, listStandings, type ModelRow } from "../../use-cases/overview.ts";
import { Badge } from "../parts/badge.tsx";
import { Bar } from "../parts/bar.tsx";
import { DecisionLink, modelPath, TrainingState, withQuery } from "../parts/links.tsx";
import { Prose } from "../parts/prose.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { Time } from "../parts/time.tsx";
import type { Page } from "./page.ts";
import { Table } from "../parts/table.tsx";

const PATH = "/";
const ROWS = 50;

/** A row per model, those that need a person first. */
export const overview: Page = {
  path: PATH,
  role: "viewer",
  navigation: "Overview",
  requires: ["postgres"],
  async load({ query, now }, { live, database }) {
    const models = live.models();
    const all = await listStandings(database, models);
    const counts = new Map<Standing, number>();
    for (const { standing } of all) counts.set(standing, (counts.get(standing) ?? 0) + 1);
    const search = (query["q"] ?? "").toLowerCase();
    const found = all.filter(
      ({ model, standing }) =>
        model.toLowerCase().includes(search) && (query["state"] === undefined || standing === query["state"]),
    );
    const last = Math.max(1, Math.ceil(found.length / ROWS));
    const page = Math.min(last, Math.max(1, Math.trunc(Number(query["page"])) || 1));
    const shown = found.slice((page - 1) * ROWS, page * ROWS);
    const rows = await describeRows(database, models, shown, now);
    const urgent = all.filter(({ standing }) => needsPerson(standing)).length;
    const worst = all[0]?.standing;
    return {
      title: urgent === 0 ? "Overview" : `(${formatCount(urgent)}) Overview`,
      tone: worst === undefined ? "calm" : STANDINGS[worst].tone,
      body: (
        <>
          <h1>Models</h1>
          <section id="states" data-part>
            <p class="lead">{summarize(all.length, urgent)} Figures are those of each latest decision.</p>
            <nav class="chips" aria-label="States">
              <a
                class="chip"
                href={withQuery(PATH, query, { state: null, page: null })}
                aria-current={query["state"] === undefined ? "true" : undefined}
              >{`All ${formatCount(all.length)}`}</a>
              {[...counts].map(([standing, count]) => (
                <a
                  class={`chip ${STANDINGS[standing].tone}`}
                  href={withQuery(PATH, query, { state: standing, page: null })}
                  aria-current={query["state"] === standing ? "true" : undefined}
                >{`${STANDINGS[standing].label} ${formatCount(count)}`}</a>
              ))}
            </nav>
          </section>
          <form class="filter" role="search">
            <label>
              Model <input name="q" type="search" value={query["q"]} />
            </label>
            {query["state"] !== undefined && <input type="hidden" name="state" value={query["state"]} />}
            <button>Search</button>
          </form>
          <section id="models" data-part>
            {rows.length === 0 ? (
              <p class="empty">
                {all.length === 0 ? "The settings name no model." : "No model matches."}{" "}
                <a href={PATH}>Show all models</a>
              </p>
            ) : (
              <Table
                label="Models"
                cards
                columns={[
                  "Model",
                  "State",
                  "What would change it",
                  "Drift / threshold",
                  "Buffer",
                  "Last decision, next look",
                  "Last training",
                ]}
              >
                {rows.map((row) => (
                  <Row row={row} now={now} />
                ))}
              </Table>
            )}
            {last > 1 && (
              <nav class="pages" aria-label="More models">
                {page > 1 && <a href={withQuery(PATH, query, { page: String(page - 1) })}>← Previous</a>}
                <span>{`Page ${formatCount(page)} of ${formatCount(last)}`}</span>
                {page < last && <a href={withQuery(PATH, query, { page: String(page + 1) })}>Next →</a>}
              </nav>
            )}
          </section>
        </>
      ),
    };
  },
};

function summarize(all: number, urgent: number): string {
  const models = all === 1 ? "1 model" : `${formatCount(all)} models`;
  if (urgent === 0) return `${models}. Nothing needs you now.`;
  return `${models}. ${urgent === 1 ? "1 needs" : `${formatCount(urgent)} need`} a person.`;
}

function Row({ row, now }: { row: ModelRow; now: number }) {
  const { model, standing, facts, figures, unit } = row;
  const { latest, training } = facts;
  const { label, tone } = STANDINGS[standing];
  const ratios = figures.points.map(({ ratio }) => ratio);
  const ratio = ratios.findLast((one) => one !== null) ?? null;
  const size = figures.points.at(-1)?.size ?? null;
  const { flip } = figures;
  const why = figures.why ?? latest?.codes.join(", ").replaceAll("_", " ") ?? "";
  return (
    <tr>
      <th scope="row">
        <a href={modelPath(model)}>{model}</a>
      </th>
      <td data-label="State">
        <Badge tone={tone}>{label}</Badge>
        <small>
          <Prose text={why} now={now} />
        </small>
      </td>
      <td data-label="What would change it">
        {flip === null || latest?.decision !== "no_action" ? (
          <span class="none">–</span>
        ) : (
          <>
            <Prose text={flip.text} now={now} />
            {flip.eta !== null && !flip.text.endsWith(" UTC") && (
              <small>
                about <Time at={flip.eta.at} now={now} />
              </small>
            )}
          </>
        )}
      </td>
      <td data-label="Drift / threshold">
        <Sparkline
          figures={ratios}
          limit={1}
          label={`Drift in thresholds at the last ${ratios.length} decisions; now ${ratio === null ? "unknown" : formatRatio(ratio)}`}
        />
        {ratio !== null && <small>{`${formatRatio(Math.round(ratio * 100) / 100)} × threshold`}</small>}
      </td>
      <td data-label="Buffer">
        {figures.buffer !== null ? (
          <Bar {...figures.buffer} unit={unit} />
        ) : size === null ? (
          <span class="none">–</span>
        ) : (
          `${formatCount(size)} ${unit}`
        )}
      </td>
      <td data-label="Last decision, next look">
        {latest === null ? (
          <span class="none">–</span>
        ) : (
          <>
            <DecisionLink id={latest.id} /> <Time at={latest.decidedAt} now={now} />
            {latest.nextLookAt !== null && (
              <small>
                next look <Time at={latest.nextLookAt} now={now} />
              </small>
            )}
          </>
        )}
      </td>
      <td data-label="Last training">
        {training === null ? (
          <span class="none">none yet</span>
        ) : (
          <>
            <TrainingState trainer={training.trainer} state={training.state} />{" "}
            <Time at={training.endedAt ?? training.requestedAt} now={now} />
          </>
        )}
      </td>
    </tr>
  );
}
