/** One line of a diagnosis. */
export interface Finding {
  level: "ok" | "warning" | "fault";
  text: string;
  /** What to do; absent if there is nothing to do. */
  remedy?: string;
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
