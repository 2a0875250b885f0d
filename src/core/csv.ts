/** Rows as CSV (RFC 4180), with a line of names. */
export function toCsv<Row extends object>(
  columns: readonly (keyof Row & string)[],
  rows: readonly Row[],
): string {
  return [toCsvHeader(columns), ...rows.map((row) => toCsvLine(columns, row))].join("");
}

export function toCsvHeader(columns: readonly string[]): string {
  return `${columns.join(",")}\r\n`;
}

export function toCsvLine<Row extends object>(columns: readonly (keyof Row & string)[], row: Row): string {
  return `${columns.map((name) => toField(row[name])).join(",")}\r\n`;
}

/** What a spreadsheet runs: also in full width, after white space, and where it takes a text for the next cell. */
const FORMULAS = /(^|[;\t\r\n])([^\S\t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20])/g;

function toField(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const safe = text.replaceAll(FORMULAS, "$1'$2");
  return /[",;\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
