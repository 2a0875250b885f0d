import type { Parameter } from "./prepared.ts";

/** A statement and the values of its parameters. */
export interface Statement {
  text: string;
  parameters: readonly Parameter[];
}

/** Collects the parameters of a statement while it is built. */
export interface Parameters {
  readonly list: readonly Parameter[];
  /** Adds a value and returns its placeholder, such as `$3`. */
  text(value: string): string;
  integer(value: number): string;
}

export function createParameters(): Parameters {
  const list: Parameter[] = [];
  const add = (parameter: Parameter): string => `$${list.push(parameter)}`;
  return {
    list,
    text: (value) => add({ type: "text", value }),
    integer: (value) => add({ type: "integer", value }),
  };
}
