/** The forms in which decisions are exported. */
export const EXPORT_FORMATS = ["csv", "jsonl", "openlineage"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** The media type of each, and the name of its file. */
export const EXPORT_FILES: Readonly<Record<ExportFormat, { type: string; name: string }>> = {
  csv: { type: "text/csv", name: "decisions.csv" },
  jsonl: { type: "application/jsonl", name: "decisions.jsonl" },
  openlineage: { type: "application/jsonl", name: "decisions.openlineage.jsonl" },
};
