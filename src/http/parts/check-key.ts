import { CRITERIA } from "../../core/criteria/registry.ts";
import { GUARDS } from "../../core/guards/registry.ts";

/** The name of a check's key in the settings, by its id. */
export function keyOf(id: string): string {
  return [...CRITERIA, ...GUARDS].find((check) => check.id === id)?.key ?? id;
}
