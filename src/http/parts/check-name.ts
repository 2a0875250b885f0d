import { CRITERIA } from "../../core/criteria/registry.ts";
import { GUARDS } from "../../core/guards/registry.ts";

/** A check in words, by its id: "retry backoff". */
export function nameOfCheck(id: string): string {
  const key = [...CRITERIA, ...GUARDS].find((check) => check.id === id)?.key ?? id;
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
