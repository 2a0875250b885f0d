import { describeCounted } from "../../core/counter.ts";
import type { Evidence } from "../../core/evidence.ts";
import { formatCount, formatRatio, formatScore } from "../../core/format.ts";
import type { CheckRow } from "../../postgres/pages/check-history.ts";
import { Badge } from "./badge.tsx";
import { Track } from "./bar.tsx";
import { Table } from "./table.tsx";
import { Time } from "./time.tsx";

/** The buffer by batch, each with its share of the largest one. */
export function BufferTable({ evidence: { buffer }, now }: { evidence: Evidence; now: number }) {
  const { batches, size, batchCount, unit } = buffer;
  const counted = describeCounted(buffer.counted);
  const most = Math.max(1, ...batches.map(({ ratings }) => ratings));
  return (
    <>
      <p>
        {`${formatCount(size)} ${unit}${batchCount > 0 ? ` in ${formatCount(batchCount)} ${batchCount === 1 ? "batch" : "batches"}` : ""}`}
        {buffer.isSinceTraining && " since the last successful training"}
        {buffer.grown !== null &&
          !buffer.isSinceTraining &&
          `, ${formatCount(buffer.grown)} of them since the last successful training`}
      </p>
      {counted !== null && <p class="soft">{`${counted}.`}</p>}
      {batches.length > 0 && (
        <Table label="Batches" columns={["Batch", { label: unit, isNumber: true }, "Size", "Newest"]}>
          {batches.map(({ batch, ratings, latestRating }) => (
            <tr>
              <th scope="row">{batch ?? "(no batch)"}</th>
              <td class="number">{formatCount(ratings)}</td>
              <td>
                <Track share={ratings / most} isMet />
              </td>
              <td>
                <Time at={toIso(latestRating)} now={now} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {batchCount > batches.length && (
        <p class="soft">{`The newest ${formatCount(batches.length)} are shown.`}</p>
      )}
    </>
  );
}

/** Unix seconds as ISO 8601; null if it is not a time. */
function toIso(seconds: number | null): string | null {
  const date = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** Drift checks, newest first. */
export function CheckTable({ checks, now }: { checks: readonly CheckRow[]; now: number }) {
  return (
    <Table
      label="Drift checks"
      columns={[
        "Checked",
        "Feature",
        { label: "Score", isNumber: true },
        { label: "Threshold", isNumber: true },
        "Result",
      ]}
    >
      {checks.map(({ at, feature, score, threshold, triggered }) => (
        <tr>
          <td>
            <Time at={at} now={now} />
          </td>
          <td>{feature ?? "(no name)"}</td>
          <td class="number">{formatScore(score)}</td>
          <td class="number">{threshold === null ? "–" : formatRatio(threshold)}</td>
          <td>
            <Badge tone={triggered ? "bad" : "good"}>{triggered ? "alert" : "ok"}</Badge>
          </td>
        </tr>
      ))}
    </Table>
  );
}
