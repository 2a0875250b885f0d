import type { PageCall } from "../page.ts";

/** The fields of a form about a replay: how far back, and how often policies decide. */
export function PeriodFields({ query, since }: { query: PageCall["query"]; since: string }) {
  return (
    <>
      <label>
        Last <input name="since" value={query["since"] ?? since} size={6} title="A duration such as 90d" />
      </label>
      <label>
        Every{" "}
        <input
          name="every"
          value={query["every"]}
          size={6}
          autocomplete="off"
          title="A duration such as 1d; empty to decide at the recorded decisions"
        />
      </label>
    </>
  );
}

export function Faults({ faults }: { faults: readonly string[] }) {
  return (
    <>
      {faults.map((fault) => (
        <p class="notice" role="alert">
          {fault}
        </p>
      ))}
    </>
  );
}
