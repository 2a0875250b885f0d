/** One line of a diagnosis. */
export interface Finding {
  level: "ok" | "warning" | "fault";
  /** Leaves out the model that it is about. */
  text: string;
  /** What to do; absent if there is nothing to do. */
  remedy?: string;
  /** The model that it is about; absent if it concerns all of them. */
  model?: string;
  /** The place in the model's settings: `source.checks.table`. */
  place?: string;
  /** What it has in common with the findings of other models, if its text differs from theirs. */
  group?: string;
}

export function ok(text: string): Finding {
  return { level: "ok", text };
}

export function warning(text: string, remedy?: string): Finding {
  return { level: "warning", text, ...(remedy === undefined ? {} : { remedy }) };
}

export function fault(text: string, remedy?: string): Finding {
  return { level: "fault", text, ...(remedy === undefined ? {} : { remedy }) };
}

/** A finding about one model. */
export function about(model: string, finding: Finding, group?: string): Finding {
  return { ...finding, model, ...(group === undefined ? {} : { group }) };
}

/** "films: no schedule", "models.films.source.checks.table: ...". */
export function describeFinding({ text, model, place }: Finding): string {
  if (model === undefined) return text;
  return `${place === undefined ? model : `models.${model}.${place}`}: ${text}`;
}
