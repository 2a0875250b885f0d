import type { ComponentChildren } from "preact";

/** A form whose fields are in the address of the page. */
export function Filter({ children }: { children: ComponentChildren }) {
  return (
    <form class="filter" role="search">
      {children}
      <button>Show</button>
    </form>
  );
}

export function TextField({
  name,
  label,
  value,
  type = "text",
}: {
  name: string;
  label: string;
  value: string | undefined;
  type?: "text" | "datetime-local";
}) {
  return (
    <label>
      {label}{" "}
      {type === "text" ? (
        <input name={name} value={value} autocomplete="off" />
      ) : (
        <input name={name} type="datetime-local" value={value} />
      )}
    </label>
  );
}

export function ChoiceField({
  name,
  label,
  value,
  options,
}: {
  name: string;
  label: string;
  value: string | undefined;
  options: readonly string[];
}) {
  return (
    <label>
      {label}{" "}
      <select name={name}>
        <option value="">all</option>
        {options.map((option) => (
          <option value={option} selected={option === value}>
            {option.replaceAll("_", " ")}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Links to the newest entries and to those that are older than the last one shown. */
export function Keyset({
  first,
  next,
}: {
  /** null on the first page. */
  first: string | null;
  /** null on the last page. */
  next: string | null;
}) {
  if (first === null && next === null) return null;
  return (
    <nav class="pages" aria-label="More entries">
      {first !== null && <a href={first}>← Newest</a>}
      {next !== null && <a href={next}>Older →</a>}
    </nav>
  );
}
